"""What the README tells a reader to type works, and what it says exists is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.corpora.harvester.trees import go_tree
from tests.support.commands import QUICK, direct, run_command
from tests.support.doubles import write_corpus

README = (PROJECT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]
PYTHON = [command for command in COMMANDS if command.startswith("python -m src.")]
SHORT = ("trainer.max_epochs=1", "data.batch_size=16")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("corpus"), train=263)  # a batch of SimCSE
    for language in ("java", "javascript", "php", "ruby", "go"):
        write_corpus(root, language, train=17, valid=3, test=5)
    return root


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    run = tmp_path_factory.mktemp("run") / "it"
    assert run_command("train", run, *QUICK, *SHORT, "corpus=codesearchnet", f"corpus.root={root}").status == 0
    return run


def test_the_readme_shows_its_commands():
    assert any(command.startswith("make train") for command in COMMANDS)
    assert "make test" in COMMANDS
    assert "python -m src.train loss=soft_infonce weights=bm25 lang=python" in PYTHON


@pytest.mark.parametrize("command", sorted(set(PYTHON)))
def test_a_command_of_the_readme_works(command, root, finished, tmp_path, monkeypatch):
    words = shlex.split(command)
    name, given = words[2].removeprefix("src."), words[3:]
    if "experiment=paper" in command or "backbone=" in command:
        pytest.skip("needs a pretrained checkpoint: tests/contracts composes it, tests/backbones runs small ones")
    monkeypatch.chdir(tmp_path)
    if name == "harvest":
        given = [f"roots=[{go_tree(tmp_path / 'src')}]" if word.startswith("roots=") else word for word in given]
        assert run_command(name, tmp_path / "run", *given, "workers=0").status == 0
        return
    if name == "report":
        assert direct("report")([str(finished.parent)]) == 0
        return
    if name in ("index", "search", "serve"):
        pytest.skip(
            "asks for a run and its index: tests/test_index.py, tests/test_search.py and tests/deploy/server make them"
        )
    if name in ("export", "benchmark", "mine"):
        given = [f"run={finished}" if word.startswith("run=") else word for word in given]
        given = [f"corpus.root=[{root}]" if word.startswith("corpus.root=") else word for word in given]
        given = [f"out={tmp_path / 'exported'}" if word.startswith("out=") else word for word in given]
        result = run_command(name, tmp_path / "run", *given)
        assert result.status == 0, result.errors
        return
    if name == "dashboard":
        pytest.skip("needs W&B: tests/test_dashboard.py runs it against a stand-in")
    if name == "cache":
        assert direct("cache")(given) == 0
        return
    if name == "bench":
        pytest.skip("takes a minute: tests/bench runs it on less")
    if "trainer.devices=2" in command:
        pytest.skip("starts processes: tests/runtime/test_launched.py does")
    if name == "download":
        pytest.skip("needs the network: tests/test_download.py runs it against a stand-in")
    # The command's own words, on data and for a time that a test can afford.
    given = [f"corpus.root={root}" if word.startswith("corpus.root=") else word for word in given]
    given = [f"run={finished}" if word.startswith("run=") else word for word in given]
    given = [word for word in given if word != "-m"]
    stand_in = ["corpus=codesearchnet", f"corpus.root={root}"] if name != "eval" else []
    trains = name not in ("eval", "corpus_report")
    options = [*QUICK, *SHORT, *stand_in, *given] if trains else given
    options = [word for word in options if word not in stand_in] + stand_in
    options += ["threshold=0.7"] if name == "inspect_weights" else []  # what the stand-in's copies have in common
    result = run_command(name, tmp_path / "run", *(["-m"] if "-m" in words else []), *options)
    assert result.status == 0, result.errors


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("make")}))
def test_a_make_target_of_the_readme_exists(command):
    shown = subprocess.run(["make", "-n", *shlex.split(command)[1:]], cwd=PROJECT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


def test_the_tree_of_the_readme_names_rooms_and_commands_that_are_there():
    tree = re.search(r"```text\n(conf/.*?)```", README, flags=re.DOTALL).group(1)
    folder = Path()
    for line in tree.splitlines():
        indent, names = re.fullmatch(r"( *)(.+?)(?:  .*)?", line).groups()
        if not indent:
            folder = Path(names) if names == "src/" else Path()
        for name in names.replace("|", " ").split():
            path = Path(name) if not indent else folder / (name if name.endswith(("/", ".py")) else f"{name}.py")
            assert (PROJECT / path).exists(), path


def test_every_link_of_the_readme_leads_to_a_file():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (PROJECT / target).exists(), target


def test_the_readme_has_at_most_1500_words():
    assert len(README.split()) <= 1500


@pytest.mark.parametrize("page", sorted((PROJECT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_every_page_of_the_documentation_is_in_its_index_and_links_to_files(page):
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    assert page.name == "README.md" or f"]({page.name})" in index
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
