"""corpus=harvest and corpus=stdlib, and the command, on small trees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src.corpora.harvester import toolchains
from src.corpora.source_trees import HarvestCorpus
from src.corpora.stdlib import StdlibCorpus
from src.utils.disk_cache import Cache
from src.utils.errors import InputError
from tests.corpora.harvester.trees import go_function, go_tree, write
from tests.support.commands import run_command


def corpus(root: Path, cache: Path) -> HarvestCorpus:
    return HarvestCorpus([root], "go", cache=cache, workers=0)


def test_a_second_run_reads_the_harvest_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = go_tree(tmp_path / "src")
    first = corpus(root, tmp_path / "cache")
    assert first.split("train").pairs[0].code.startswith("func ")
    monkeypatch.setattr("src.corpora.harvester.pipeline.harvest_all", None)
    second = corpus(root, tmp_path / "cache")
    assert second.split("test").codebase.fingerprint == first.split("test").codebase.fingerprint
    assert second.counts() == first.counts()
    assert second.counts()["documented functions"] == 20


def test_a_changed_source_is_harvested_again(tmp_path: Path) -> None:
    root = go_tree(tmp_path / "src")
    before = corpus(root, tmp_path / "cache").split("train").fingerprint
    for word in ("oben", "unten"):
        write(root / word / "a.go", f"package a\n\n{go_function(word)}")
    assert corpus(root, tmp_path / "cache").split("train").fingerprint != before
    assert len(list(Cache(tmp_path / "cache").entries())) == 2


def test_missing_roots_and_an_unknown_language_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"roots=\[DIR,...\], found none"):
        HarvestCorpus(language="go").split("train")
    with pytest.raises(InputError, match="found 'cobol'"):
        HarvestCorpus([tmp_path], language="cobol").split("train")


def test_a_library_given_as_root_is_read(tmp_path: Path) -> None:
    found = StdlibCorpus("go", root=go_tree(tmp_path / "src"), cache=tmp_path / "cache")
    assert found.counts()["documented functions"] == 20
    assert found.split("test").codebase.ids[0].startswith("src/")


def test_each_package_of_a_node_modules_folder_is_a_root_of_its_own(tmp_path: Path) -> None:
    modules = tmp_path / "node_modules"
    for name in ("a", "@b/c", "a/node_modules/d", "empty", "a/lib"):
        write(modules / name / "package.json", "{}")
    for name in ("a", "@b/c", "a/node_modules/d", "a/lib"):
        write(modules / name / "index.js", "")
    found = [path.relative_to(modules).as_posix() for path in toolchains.library_roots("javascript", modules)]
    assert found == ["@b/c", "a", "a/node_modules/d"]


def test_each_package_of_a_vendor_folder_is_a_root_of_its_own(tmp_path: Path) -> None:
    for name in ("vendor/maker/one", "vendor/maker/two"):
        write(tmp_path / name / "composer.json", "{}")
        write(tmp_path / name / "src" / "a.php", "<?php")
    found = toolchains.library_roots("php", tmp_path / "vendor")
    assert [path.name for path in found] == ["one", "two"]
    assert toolchains.library_roots("php", found[0]) == [found[0]]


def test_the_command_reports_what_it_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = go_tree(tmp_path / "src")
    write(root / "short" / "a.go", "package a\n\n// short is a short one.\nfunc short() {}\n")
    write(root / "latin.go", b"package a // \xe4\n")
    result = run_command("harvest", tmp_path / "run", "lang=go", f"roots=[{root}]", "out=corpus", "workers=0")
    assert (result.status, result.errors) == (0, "")
    assert result.output.startswith("src/latin.go is skipped: not UTF-8\n")
    table = re.findall(r"^ +(\S.*?) {2,}([\d,]+) *$", result.output, flags=re.MULTILINE)
    assert {name: int(number) for name, number in table} == {
        "files read": 21,
        "files skipped: not UTF-8": 1,
        "documented functions": 21,
        "dropped: code under 3 lines": 1,
        "kept": 20,
        "train": 16,
        "valid": 2,
        "test": 2,
    }
    assert (tmp_path / "corpus" / "go" / "train.jsonl").exists()
    assert "latin.go is skipped" in (tmp_path / "run" / "harvest.log").read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["roots=[.]", "out=x"], "error: expected lang=python|java|javascript|php|ruby|go, found none"),
        (["lang=go", "roots=[.]"], "error: expected the folder to write to in out=DIR, found none"),
        (["lang=go", "out=x"], "error: expected the folders to harvest in roots=[DIR,...], found none"),
        (["lang=go", "out=x", "roots=nowhere"], "error: expected a folder or a .zip archive"),
        (["lang=go", "out=x", "roots=[.]", "workers=-1"], "error: workers: expected a whole number of 0 or more"),
        (["lang=golang", "out=x", "roots=[.]"], "did you mean 'go'"),
        (["lang=go", "out=x", "root=[.]"], "did you mean 'roots'"),
    ],
)
def test_a_mistake_ends_with_status_two_and_one_line(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_command("harvest", tmp_path / "run", *overrides)
    assert (result.status, result.errors.count("\n")) == (2, 1)
    assert message in result.errors
