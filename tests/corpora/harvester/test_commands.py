"""Reports, trainings and evaluations of a harvested corpus that holds a planted leak; one cache for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.corpora.harvester.pipeline import harvest, plan
from tests.corpora.harvester.trees import WORDS, go_function, go_tree, write
from tests.support.commands import QUICK, Result, direct, run_command

main = direct("cache")

TRAINING = (*QUICK, "trainer.max_epochs=1", "data.batch_size=4", "loss=infonce", "backbone.encoder.embedding_size=16")
BODY = """(path, mode string, size int) ([]byte, error) {
\thandle, err := os.OpenFile(path, flags(mode), 0o600)
\tif err != nil {
\t\treturn nil, fmt.Errorf("cannot open %s: %w", path, err)
\t}
\tdefer handle.Close()
\treturn io.ReadAll(io.LimitReader(handle, int64(size)))
}
"""


def leaking_tree(root: Path) -> Path:
    """Two functions a package; one package of test has a function that is in train under another name."""
    go_tree(root)

    def add(word: str, function: str) -> None:
        write(root / word / "more.go", f"package {word}\n\n{function}")

    for word in WORDS:
        add(word, go_function(f"{word}Again", "columns"))
    harvest(plan("go", [root]), root.parent / "before", 0)
    train, test = (_packages(root.parent / "before" / "go" / f"{name}.jsonl")[0] for name in ("train", "test"))
    # As many functions as before, so that every package goes where it went.
    add(train, f"// fetchPart fetches a part of a file.\nfunc fetchPart{BODY}")
    add(test, f"// loadBlock loads a block of a file.\nfunc loadBlock{BODY}")
    return root


def _packages(file: Path) -> list[str]:
    return sorted({json.loads(line)["path"].split("/")[0] for line in file.read_text().splitlines()})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("harvest")


@pytest.fixture(scope="module")
def options(folder: Path) -> tuple[str, ...]:
    root = leaking_tree(folder / "src")
    return ("corpus=harvest", "lang=go", f"corpus.roots=[{root}]", "corpus.workers=0", f"cache={folder / 'cache'}")


@pytest.fixture(scope="module")
def trained(folder: Path, options: tuple[str, ...]) -> Result:
    result = run_command("train", folder / "trained", *TRAINING, *options)
    assert result.status == 0, result.errors
    return result


def report(folder: Path, *options: str) -> tuple[dict, Result]:
    result = run_command("corpus_report", folder, *options)
    assert result.status == 0, result.errors
    return json.loads((folder / "report.json").read_text()), result


def test_a_planted_leak_is_reported(options: tuple[str, ...], tmp_path: Path) -> None:
    numbers, result = report(tmp_path, *options, "corpus.dedup=none")
    assert numbers["pairs/train"] == 32
    assert numbers["pairs/test"] == 4
    assert numbers["leaks/answers/test/exact"] == 0
    assert numbers["leaks/answers/test/near"] == 1 / 4
    assert (numbers["dedup/exact/codebase"], numbers["dedup/near/codebase"]) == (32, 31)
    assert "Training has seen 25% of the test answers" in " ".join(result.output.split())
    page = (tmp_path / "report.html").read_text()
    assert "fetchPart" in page
    assert "loadBlock" in page


@pytest.mark.parametrize("dedup", [(), ("corpus.dedup=near",)], ids=["default", "near"])
def test_a_planted_leak_is_removed_by_dedup(dedup: tuple[str, ...], options: tuple[str, ...], tmp_path: Path) -> None:
    numbers, _ = report(tmp_path, *options, *dedup)
    assert (numbers["pairs/train"], numbers["pairs/test"]) == (31, 4)
    assert numbers["leaks/answers/test/near"] == numbers["leaks/candidates/test/near"] == 0


def test_a_planted_leak_is_left_out_of_training(trained: Result, options: tuple[str, ...], tmp_path: Path) -> None:
    assert "31 training pairs" in trained.output
    assert "1 nearly as a held-out one" in trained.output
    leaking = run_command("train", tmp_path, *TRAINING, *options, "corpus.dedup=none")
    assert leaking.status == 0, leaking.errors
    assert "32 training pairs" in leaking.output


def test_the_harvest_is_kept_in_the_cache_and_listed(
    folder: Path, trained: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"root={folder / 'cache'}"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "40 go files of src; train 32, valid 4, test 4" in shown
    assert [path.name for path in (folder / "cache").iterdir()] == ["harvest"]


def test_an_evaluation_reuses_the_harvest_and_makes_one_only_in_an_empty_cache(
    folder: Path, trained: Result, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.corpora.harvester.pipeline.harvest_all", None)
    for more in ((), options[:4]):
        result = run_command("eval", tmp_path / str(len(more)), f"run={trained.run}", *more)
        assert result.status == 0, result.errors
        assert "identical ranks for all 4 queries" in result.output
    monkeypatch.undo()
    result = run_command("eval", tmp_path / "moved", f"run={trained.run}", f"cache={tmp_path / 'cache'}")
    assert result.status == 0, result.errors
    assert len(list((tmp_path / "cache" / "harvest").glob("[!.]*"))) == 1
