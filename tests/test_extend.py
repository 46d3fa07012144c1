"""The examples of docs/extend.md work as they stand there: in a copy of the tree, their contracts and a training."""

from __future__ import annotations

import ast
import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.support.doubles import sentences

PAGE = (PROJECT / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(?:python|yaml)\n(# ((?:src|conf)/\S+)\n.*?)```", flags=re.DOTALL)
FILES = {path: text for text, path in BLOCK.findall(PAGE)}
OPTIONS = {Path(path).parent.name: Path(path).stem for path in FILES if path.startswith("conf/")}
SMALL = ("trainer.accelerator=cpu", "data.batch_size=8", "data.num_workers=0", "experiment=smoke")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The project with the files of the page."""
    tree = tmp_path_factory.mktemp("extended")
    for folder in ("src", "conf", "tests"):
        shutil.copytree(
            PROJECT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "acf4669", "faults")
        )
    shutil.copy(PROJECT / "pyproject.toml", tree)
    for path, text in FILES.items():
        assert not (tree / path).exists(), path
        (tree / path).write_text(text, encoding="utf-8")
    return tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Data of the corpus that the page adds."""
    folder, pairs = tmp_path_factory.mktemp("csv"), sentences(53)
    for name, chosen in {"train": pairs[:37], "valid": pairs[37:42], "test": pairs[42:]}.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("query", "code"), *chosen])
    return folder


def run(tree: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "160"}
    done = subprocess.run([sys.executable, "-m", *words], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_page_adds_one_python_file_and_one_yaml_to_each_of_five_groups():
    assert OPTIONS.keys() == {"loss", "weights", "corpus", "batching", "backbone"}
    assert len(FILES) == 10
    for group in OPTIONS:
        assert f"conf/{group}/" in PAGE


def test_every_function_of_the_examples_has_annotations():
    for path, text in FILES.items():
        for node in ast.walk(ast.parse(text)) if path.endswith(".py") else ():
            if isinstance(node, ast.FunctionDef):
                assert node.returns, (path, node.name)
                assert all(argument.annotation for argument in node.args.args if argument.arg != "self"), node.name


def test_the_loss_of_the_readme_is_that_of_the_page():
    found = {path: text for text, path in BLOCK.findall((PROJECT / "README.md").read_text(encoding="utf-8"))}
    assert found == {path: FILES[path] for path in ("src/losses/margin.py", "conf/loss/margin.yaml")}


def test_the_examples_pass_the_contract_tests_without_a_change_to_them(tree):
    names = " or ".join(OPTIONS.values())
    shown = run(
        tree, "pytest", "tests/contracts", "tests/losses", "tests/corpora/test_base.py", "-vv", "-n", "0", "-k", names
    )
    for name in ("margin", "word_overlap", "csv", "consecutive", "trigrams"):
        assert re.search(rf"contract\[{name}\] PASSED", shown), name
    assert shown.count("margin.yaml") > 20
    assert " skipped" not in shown


@pytest.fixture(scope="module")
def trained(tree, folder, tmp_path_factory) -> tuple[Path, str]:
    """The folder of two trainings, `margin` and `others`, and what they print, in one process."""
    work = tmp_path_factory.mktemp("trained")
    common = (*SMALL, f"cache={work}", f"corpus.folder={folder}")
    others = [f"{group}={name}" for group, name in OPTIONS.items() if group != "loss"]
    commands = {"margin": ("loss=margin", "corpus=csv", *common), "others": (*others, *common)}
    script = work / "both.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom tests.support.commands import run_command\n"
        f"for name, words in {commands!r}.items():\n"
        f"    done = run_command('train', Path({str(work)!r}) / name, *words)\n"
        "    print(done.output, done.errors)\n"
        "    assert done.status == 0\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "160"}
    done = subprocess.run([sys.executable, script], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return work, done.stdout


def test_a_loss_without_similarity_trains_and_is_labelled_without_an_estimator(trained):
    work, shown = trained
    assert re.search(r"^ margin +\d\.\d{3} ", shown, flags=re.MULTILINE)
    assert "bm25" not in shown
    card = (work / "margin" / "README.md").read_text(encoding="utf-8")
    assert "Trained with `margin` on csv" in card
    assert "| negative weights | none |" in card


def test_the_other_examples_train_together(trained):
    work, shown = trained
    assert re.search(r"^ soft_infonce word_overlap, consecutive +\d\.\d{3} ", shown, flags=re.MULTILINE)
    assert (work / "others" / "test_ranks.csv").read_text(encoding="utf-8").count("test-") == 11
