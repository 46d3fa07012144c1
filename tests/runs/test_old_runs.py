"""What an older version left on disk is read by this one: its files name modules and classes by where they were then.

tests/golden/acf4669 was made by tests/golden/make_old_runs.py with the code of that commit. A configuration in it says
`_target_: src.build.trainer` for good, whatever has become of src/build.py.
"""

from __future__ import annotations

import json
import multiprocessing
import runpy
import sys
import tarfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from tests.conftest import PROJECT
from tests.support.commands import QUICK, run_command, run_direct

GOLDEN = PROJECT / "tests" / "golden" / "acf4669"
RUNS = Path("outputs/old")
REPORTED = ("finished", "logged", "interrupted")
# As they were typed then; a logger is no part of what a run is.
SMALL = (
    *("backbone.encoder.embedding_size=8", "backbone.encoder.buckets=128", "data.batch_size=16"),
    *("trainer.max_epochs=3", "trainer.accelerator=cpu", "data.num_workers=0", "cache=cache"),
)
CORPUS = ("corpus=codesearchnet", "corpus.root=corpus", *SMALL)
BEGUN = ("loss=soft_infonce", "weights=bm25", "batching=similar", "logger=csv", *CORPUS)
SWEEP = ("-m", "loss=infonce,soft_infonce", "weights=bm25", "logger=csv", *CORPUS)
NEW = (*QUICK, *CORPUS, "trainer.max_epochs=1")  # a training of this version


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """The folder in which everything was made; it is also where the test is."""
    for path in sorted(GOLDEN.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: str) -> tuple[int, str]:
    """Status and output of `python -m src.<words>`, of what has no `main(cfg)` or finds its directory by itself.

    In a process that is forked from the test's own: seconds of imports are paid once.
    """
    process = multiprocessing.get_context("fork").Process(target=said_by, args=words)
    process.start()
    process.join(120)
    process.kill()
    return process.exitcode, Path("said").read_text()


def said_by(name: str, *arguments: str) -> None:
    with open("said", "w", buffering=1) as file, redirect_stdout(file), redirect_stderr(file):
        warnings.simplefilter("ignore")  # runpy's: the module was imported before
        GlobalHydra.instance().clear()
        sys.argv = [name, *arguments]
        runpy.run_module(f"src.{name}", run_name="__main__", alter_sys=True)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def contents(folder: Path | str) -> dict[str, bytes]:
    """Every file below a folder; locks apart, which say nothing."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    return {str(path): path.read_bytes() for path in files}


def test_the_old_files_name_their_classes_by_the_old_modules():
    """Else nothing below would show anything."""
    configurations = "".join(path.read_text() for path in sorted(RUNS.glob("*/config.yaml")))
    for name in ("batching.SimilarBatches", "build.trainer", "metrics_csv.MetricsCSV", "loggers.ForgivingWandbLogger"):
        assert f"_target_: src.{name}\n" in configurations
    assert b"src.build.trainer" in (RUNS / "finished/checkpoints/best.ckpt").read_bytes()


@pytest.mark.parametrize("name", ["finished", "logged", "harvest"])
def test_a_run_of_an_older_version_is_evaluated_to_its_own_ranks(name, here):
    result = run_command("eval", here / "again", f"run={RUNS / name}")
    assert result.status == 0, result.errors
    assert "identical ranks for all" in result.output
    assert (here / "again" / "test_ranks.csv").read_bytes() == (RUNS / name / "test_ranks.csv").read_bytes()


def test_every_class_that_an_older_configuration_could_name_is_known(here):
    checkpoint = torch.load(RUNS / "finished" / "checkpoints" / "best.ckpt", weights_only=True)
    names = (GOLDEN / "targets.txt").read_text().split()
    checkpoint["run_config"]["others"] = [{"_target_": name} for name in names]  # all are looked at, none is built
    torch.save(checkpoint, "others.ckpt")
    result = run_command("eval", here / "again", "checkpoint=others.ckpt")
    assert result.status == 0, result.errors
    checkpoint["run_config"]["others"].append({"_target_": "src.build.nothing"})
    torch.save(checkpoint, "others.ckpt")
    result = run_command("eval", here / "again", "checkpoint=others.ckpt")
    assert (result.status, len(result.errors.splitlines())) == (2, 1)


def test_runs_of_an_older_version_are_reported():
    status, said = command("report", *(f"outputs/old/{name}" for name in REPORTED), "outputs/sweeps", "to=page")
    assert status == 0, said
    for row in ("infonce", "soft_infonce bm25", "soft_infonce bm25, similar", "soft_infonce mixture"):
        assert f" {row}  " in said
    assert "left out: interrupted (interrupted)" in said
    assert "Texts of queries could not be read again" not in Path("page/report.html").read_text()


def test_an_interrupted_run_of_an_older_version_is_resumed(here):
    result = run_command("train", RUNS / "interrupted", *BEGUN)
    assert result.status == 0, result.errors
    assert "resume: outputs/old/interrupted continues after step 6, in epoch 2 (last.ckpt)" in result.output
    # As if it had never been interrupted; another processor rounds otherwise.
    resumed, whole = (weights(RUNS / name / "checkpoints" / "best.ckpt") for name in ("interrupted", "finished"))
    torch.testing.assert_close(resumed, whole, rtol=1e-4, atol=1e-5)


def test_the_command_of_an_older_version_finds_its_interrupted_run_by_itself():
    status, said = command("train", *BEGUN)
    assert status == 0, said
    assert "resume: outputs/old/interrupted continues after step 6" in said
    assert json.loads((RUNS / "interrupted" / "status.json").read_text())["status"] == "finished"


def test_a_finished_run_of_an_older_version_is_never_written_over():
    before = contents(RUNS)
    result = run_command("train", RUNS / "finished", *BEGUN)
    assert result.status == 2
    assert "holds a finished run: choose another" in result.errors
    assert contents(RUNS) == before


def test_an_old_sweep_knows_its_finished_cells(here):
    before = contents("outputs/sweeps")
    [known] = Path("outputs/sweeps").glob("*/cells.json")
    for _ in range(2):
        result = run_command("train", here, *SWEEP)
        assert result.status == 0, result.errors
        assert "nothing to run: 2 of 2 cells finished" in result.output
        after = contents("outputs/sweeps")
        assert {**after, str(known): b""} == {**before, str(known): b""}
        known.unlink()  # what it noted of its cells: then their names alone must tell


def test_an_old_index_is_searched_and_brought_up_to_date(here):
    status, output, errors = run_direct("search", "index=index", "puts every tool back", "json=true", "lang=go")
    assert status == 0, errors
    [hit] = json.loads(output)["hits"]
    assert (hit["name"], hit["language"], hit["line"]) == ("TidyShelf", "go", 4)
    Path("tree/garden/moss.py").unlink()
    result = run_command("index", here / "log", "out=index", "workers=0")  # with the model that the index names
    assert result.status == 0, result.errors
    assert "0 embedded, 49 unchanged, 4 removed" in result.output


def test_old_cache_entries_are_listed_and_left_alone(here):
    before = contents("cache")
    keys = {Path(name).parts[2] for name in before}
    assert {Path(name).parts[1] for name in before} == {"embeddings", "harvest", "models", "tokens"}
    small = [f"weights.parts.{name}.training={{max_epochs: 1, batch_size: 16}}" for name in ("simcse", "trained_model")]
    mixed = run_command("train", here / "mixed", *NEW, "weights=mixture", *small)
    assert mixed.status == 0, mixed.errors
    many = run_command("train", here / "many-texts", *NEW, "loss=infonce", "corpus.root=many", "data.batch_size=256")
    assert many.status == 0, many.errors
    assert contents("cache").items() >= before.items()
    status, said = command("cache", "list", "root=cache")
    assert status == 0, said
    assert all(key in said for key in keys)
    assert "damaged" not in said


def test_the_model_of_an_old_cache_entry_is_an_estimator(here):
    for path in sorted(Path("cache/models").glob("*/model.ckpt")):
        options = ("weights=simcse", f"weights.checkpoint={path}")
        result = run_command("train", here / path.parent.name, *NEW, *options)
        assert result.status == 0, result.errors


def test_an_old_mined_file_and_an_old_checkpoint_start_a_training(here):
    options = ("negatives.mined=mined.jsonl", f"checkpoint={RUNS / 'finished' / 'checkpoints' / 'best.ckpt'}")
    result = run_command("train", here / "new", *NEW, "weights=bm25", *options)
    assert result.status == 0, result.errors


def test_a_run_of_an_older_version_is_mined(here):
    result = run_command("mine", here / "log", f"run={RUNS / 'finished'}", "out=again.jsonl")
    assert result.status == 0, result.errors
    old, new = (Path(name).read_text().splitlines() for name in ("mined.jsonl", "again.jsonl"))
    for key in ("query", "train"):
        assert [json.loads(line)[key] for line in new] == [json.loads(line)[key] for line in old]


def test_a_run_of_an_older_version_is_benchmarked(here):
    result = run_command("benchmark", here / "log", f"run={RUNS / 'finished'}", "corpus.root=corpus")
    assert result.status == 0, result.errors
    found = json.loads((here / "log" / "benchmark.json").read_text())["corpus/python"]
    assert found["mrr"] == json.loads((RUNS / "finished" / "metrics.json").read_text())["test/mrr"]


@pytest.mark.filterwarnings("ignore")
def test_a_run_of_an_older_version_is_exported(here):
    pytest.importorskip("sentence_transformers")
    result = run_command("export", here / "log", f"run={RUNS / 'finished'}", "out=exported")
    assert result.status == 0, result.errors
    assert "read back by sentence-transformers" in result.output
