"""The main job from end to end on a corpus of a few dozen pairs: files, numbers, repeatability, sweeps."""

from __future__ import annotations

import csv
import importlib
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger

from src.runs.directory import read_ranks
from tests.conftest import PROJECT
from tests.support.commands import QUICK, run_command, trained
from tests.support.doubles import write_corpus

SMALL = (*QUICK, "corpus=codesearchnet", "data.batch_size=16", "trainer.max_epochs=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """One finished run with the comparison to plain InfoNCE."""
    return trained(tmp_path_factory.mktemp("run") / "it", root, "trainer.max_epochs=2", "compare_infonce=true")


def metrics(result) -> dict:
    return json.loads((result.run / "metrics.json").read_text())


def test_the_run_directory_has_every_file(finished):
    files = {path.relative_to(finished.run).as_posix() for path in finished.run.rglob("*") if path.is_file()}
    assert files >= {
        *("config.yaml", "environment.json", "metrics.json", "status.json", "test_ranks.csv", "train.log"),
        *("metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt", "infonce/test_ranks.csv"),
    }
    assert json.loads((finished.run / "status.json").read_text())["status"] == "finished"


def test_every_metric_of_the_contract_is_there_and_finite(finished):
    found = metrics(finished)
    assert found.keys() >= {
        *("test/mrr", "test/recall@1", "test/recall@5", "test/recall@10", "test/ndcg@10", "test/queries"),
        *("test/candidates", "val/mrr", "bm25/mrr", "train/pairs_per_second", "train/seconds", "infonce/mrr"),
    }
    assert all(isinstance(value, int | float) and np.isfinite(value) for value in found.values())
    assert (found["test/queries"], found["test/candidates"]) == (13, 24)
    assert found["train/pairs_per_second"] > 0


def test_the_mrr_can_be_recomputed_from_the_ranks(finished):
    for folder, key in ((finished.run, "test/mrr"), (finished.run / "infonce", "infonce/mrr")):
        ranks = np.array(list(read_ranks(folder / "test_ranks.csv").values()))
        assert len(ranks) == 13
        assert (1 / ranks).mean() == pytest.approx(metrics(finished)[key], abs=1e-12)


def test_the_difference_to_each_baseline_is_that_of_the_mrrs(finished):
    found = metrics(finished)
    assert found["minus_infonce/mrr"] == pytest.approx(found["test/mrr"] - found["infonce/mrr"], abs=1e-12)
    assert found["minus_bm25/mrr"] == pytest.approx(found["test/mrr"] - found["bm25/mrr"], abs=1e-12)


def test_the_environment_records_the_data_the_seed_and_the_packages(finished):
    found = json.loads((finished.run / "environment.json").read_text())
    assert found["corpus"]["test_candidates"] == 24
    assert found["corpus"]["train_pairs"] == 67
    assert len({found["corpus"][f"{split}_fingerprint"] for split in ("train", "valid", "test", "test_pool")}) == 4
    assert found["seed"] == 1
    assert found["packages"]["torch"] == torch.__version__


def test_the_saved_config_is_resolved(finished):
    cfg = yaml.safe_load((finished.run / "config.yaml").read_text())
    assert "${" not in (finished.run / "config.yaml").read_text()
    assert cfg["choices"] == {
        **{"loss": "soft_infonce", "weights": "bm25", "lang": "python", "backbone": "tiny"},
        **{"corpus": "codesearchnet", "batching": "random"},
    }


def test_the_table_shows_metrics_intervals_and_baselines(finished):
    for word in ("MRR", "95% interval", "R@1", "R@5", "R@10", "NDCG@10", "BM25", "infonce", "fingerprint", "pairs/s"):
        assert word in finished.output
    assert str(finished.run) in finished.output.replace("\n", "")
    assert "13 queries, 24 candidates" in finished.output


def test_the_metrics_log_has_the_curves_of_training_and_validation(finished):
    with (finished.run / "metrics.csv").open() as file:
        columns = csv.DictReader(file).fieldnames
    assert {"train/loss", "val/mrr", "val/alignment", "val/uniformity", "train/learning_rate"} <= set(columns)


@pytest.mark.parametrize("loss", [pytest.param("infonce", marks=pytest.mark.slow), "soft_infonce"])
def test_the_same_seed_gives_the_same_ranks(root, tmp_path, loss):
    runs = [
        run_command("train", tmp_path / f"{seed}-{i}", *SMALL, f"corpus.root={root}", f"loss={loss}", f"seed={seed}")
        for i, seed in enumerate((3, 3, 4))
    ]
    first, again, _ = ((run.run / "test_ranks.csv").read_bytes() for run in runs)
    assert first == again
    states = [torch.load(r.run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for r in runs]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not all(torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_loader_workers_do_not_change_the_result(root, tmp_path):
    states = []
    for n in (0, 1):
        options = (f"corpus.root={root}", f"data.num_workers={n}", "backbone.encoder.dropout=0.1")
        run = run_command("train", tmp_path / str(n), *SMALL, *options)
        assert run.status == 0, run.errors
        states.append(torch.load(run.run / "checkpoints/last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_checkpoint_needs_no_pickled_code(finished):
    checkpoint = torch.load(finished.run / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["run_config"]["choices"]["loss"] == "soft_infonce"


def test_a_finished_run_is_not_overwritten(root, finished):
    before = {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file() and path.suffix != ".log"}
    again = run_command("train", finished.run, *SMALL, f"corpus.root={root}", "compare_infonce=true", "seed=5")
    assert (again.status, len(again.errors.splitlines())) == (2, 1)
    assert "holds a finished run: choose another hydra.run.dir, or write over it with resume=never" in again.errors
    assert {path: path.read_bytes() for path in before} == before


def test_training_starts_from_the_given_checkpoint(root, finished, tmp_path):
    best = finished.run / "checkpoints" / "best.ckpt"
    result = run_command(
        *("train", tmp_path, *SMALL, f"corpus.root={root}", f"checkpoint={best}", "optimizer.learning_rate=0")
    )
    assert result.status == 0, result.errors
    assert (tmp_path / "test_ranks.csv").read_bytes() == (finished.run / "test_ranks.csv").read_bytes()


def test_a_loss_without_similarity_fits_no_estimator(root, tmp_path, monkeypatch):
    def refuse(self, pairs):
        raise AssertionError("fitted for nothing")

    monkeypatch.setattr("src.weights.bm25.BM25Estimator.fit", refuse)
    assert run_command("train", tmp_path, *SMALL, f"corpus.root={root}", "loss=infonce").status == 0


def test_a_sweep_writes_each_job_into_a_directory_of_its_own(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_command(
        *("train", tmp_path, "-m", *SMALL, f"corpus.root={root}", "loss=infonce,soft_infonce", "seed=1,2"),
        "trainer.max_epochs=1",
    )
    assert result.status == 0, result.errors
    runs = sorted(path.parent for path in tmp_path.rglob("metrics.json"))
    assert len(runs) == 4
    seen = {
        (cfg["choices"]["loss"], cfg["seed"])
        for cfg in (yaml.safe_load((run / "config.yaml").read_text()) for run in runs)
    }
    assert seen == {(loss, seed) for loss in ("infonce", "soft_infonce") for seed in (1, 2)}


def test_a_failing_job_neither_stops_a_sweep_nor_hides(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run_command(
        *("train", tmp_path, "-m", *SMALL, f"corpus.root={root}", "data.batch_size=999,16", "trainer.max_epochs=1")
    )
    assert result.status == 2
    assert result.errors.count("error:") == 1
    assert len(list(tmp_path.rglob("metrics.json"))) == 1
    states = sorted(json.loads(path.read_text())["status"] for path in tmp_path.rglob("status.json"))
    assert states == ["failed", "finished"]


def test_ctrl_c_ends_as_interrupted_without_a_traceback(root, tmp_path):
    command = [sys.executable, "-m", "src.train", *SMALL, f"corpus.root={root}", f"hydra.run.dir={tmp_path / 'run'}"]
    process = subprocess.Popen(
        [*command, "trainer.max_epochs=100000"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test runner's workers ignore it
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    for _ in range(600):
        if last.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("interrupted")
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "interrupted"


def test_the_logger_gets_the_parameters_of_the_loss_and_the_choices_as_tags(root, tmp_path, monkeypatch):
    told = {}

    class Logger(CSVLogger):
        def __init__(self, save_dir, **about):
            told.update(about)
            super().__init__(save_dir, name="", version="")

    importlib.import_module("src.train")  # which then has the true one, and takes this for another kind of logger
    monkeypatch.setattr("src.loggers.wandb.FaultTolerantWandbLogger", Logger)
    result = run_command(
        *("train", tmp_path, *SMALL, f"corpus.root={root}", "logger=wandb", "loss.alpha=0.5", "trainer.max_epochs=1")
    )
    assert result.status == 0, result.errors
    assert told["config"]["loss/alpha"] == 0.5
    assert told["config"]["loss"] == "soft_infonce"
    assert told["config"]["seed"] == 1
    assert told["config"]["data/test_queries"] == 13
    assert {"loss=soft_infonce", "weights=bm25", "lang=python", "backbone=tiny"} <= set(told["tags"])


def test_every_query_is_shown_with_its_own_rank_and_the_results_with_a_baseline(root, tmp_path):
    result = run_command("train", tmp_path, *SMALL, f"corpus.root={root}", "logger=wandb", "trainer.max_epochs=1")
    assert result.status == 0, result.errors
    tables = {path.name.split("_")[0]: json.loads(path.read_text()) for path in tmp_path.rglob("*.table.json")}
    shown = [dict(zip(tables["examples"]["columns"], row)) for row in tables["examples"]["data"]]
    assert [row["rank"] for row in shown] == list(read_ranks(tmp_path / "test_ranks.csv").values())
    assert all((row["rank"] == 1) == (row["answer"] == row["code 1"]) for row in shown)  # nothing ties here
    assert all(row["score 1"] >= row["score 2"] >= row["score 3"] for row in shown)
    rows = [row[0] for row in tables["results"]["data"]]
    assert rows == ["soft_infonce bm25", "BM25", "soft_infonce bm25 minus BM25"]


def test_an_interrupted_comparison_keeps_the_finished_run(root, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("src.train.train_infonce", interrupt)
    result = run_command("train", tmp_path, *SMALL, f"corpus.root={root}", "compare_infonce=true")
    assert result.status == 130
    ranks = np.array(list(read_ranks(tmp_path / "test_ranks.csv").values()))
    assert (1 / ranks).mean() == pytest.approx(json.loads((tmp_path / "metrics.json").read_text())["test/mrr"])
