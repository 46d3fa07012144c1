"""Time of a report over many runs: python -m tests.benchmarks.report [--runs 500] [--queries 1000]

Made-up runs with files as src.train writes them, 5 seeds of 10 losses in as many settings as it takes; no texts are
read again. Prints the seconds of each part, and of a plain loop that reads the same files, for a ratio that another
machine can be held against.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from src.report.__main__ import write
from src.report.cells import cells
from src.report.compare import compare
from src.report.runs import find_runs
from src.runs.directory import RunDirectory

LOSSES = (
    *(("infonce", "bm25"), ("soft_infonce", "bm25"), ("soft_infonce", "simcse"), ("soft_infonce", "trained_model")),
    *(("soft_infonce", "mixture"), ("weighted_infonce", "bm25"), ("bce", "bm25"), ("kl_regularized", "bm25")),
    *(("false_negative_cancellation", "bm25"), ("weighted_infonce", "simcse")),
)
SEEDS, EPOCHS, STEPS = 5, 6, 20


def make_runs(root: Path, runs: int, queries: int) -> None:
    """Every setting has 10 losses x 5 seeds; ranks of a setting are alike, as those of real runs are."""
    per_setting = len(LOSSES) * SEEDS
    for number in range(runs):
        setting, place = divmod(number, per_setting)
        loss, seed = divmod(place, SEEDS)
        rng = np.random.default_rng([setting, 0])
        hard_N = rng.gamma(0.5, 20, queries)
        rng = np.random.default_rng([setting, loss, seed])
        rank_N = 1 + np.floor(hard_N * rng.gamma(2, 0.5, queries))
        make_run(root, f"lang{setting}", *LOSSES[loss], seed, rank_N, rng)


def make_run(root: Path, lang: str, loss: str, weights: str, seed: int, rank_N: np.ndarray, rng) -> None:
    run = RunDirectory(root / f"{loss}_{weights}_{lang}_seed{seed}")
    choices = {"loss": loss, "weights": weights, "lang": lang, "backbone": "tiny", "corpus": "codesearchnet"}
    cfg = {"choices": choices | {"batching": "random"}, "seed": seed, "corpus": {"root": None, "language": lang}}
    cfg |= {"trainer": {"max_epochs": EPOCHS}, "data": {"batch_size": 256}, "optimizer": {"learning_rate": 0.03}}
    run.write_text("config.yaml", yaml.safe_dump(cfg))
    corpus = {"test_pool_fingerprint": lang, "train_fingerprint": lang}
    run.write_json("environment.json", {"corpus": corpus, "hardware": {"cpus": 2, "gpus": []}})
    numbers = {"bm25/mrr": 0.3, "bm25/mrr_low": 0.2, "bm25/mrr_high": 0.4, "test/candidates": 10 * len(rank_N)}
    numbers |= {"train/seconds": 60.0, "train/pairs_per_second": 1000.0, "val/mrr": 0.5}
    run.write_metrics(numbers)
    run.write_ranks([f"{lang}-{i}" for i in range(len(rank_N))], rank_N)
    run.write_json("status.json", {"status": "finished", "seconds": 1.0})
    (run.path / "checkpoints").mkdir(exist_ok=True)
    names = ("val/mrr", "val/alignment", "val/uniformity", "weights/share_clipped", "weights/effective_negatives")
    with (run.path / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", *names])
        for epoch in range(EPOCHS):
            for step in range(STEPS):
                writer.writerow([epoch, epoch * STEPS + step, "", "", "", *rng.random(2)])
            writer.writerow([epoch, epoch * STEPS + step, *rng.random(3), "", ""])


def read_plainly(root: Path) -> None:
    """Every file of every run, parsed and forgotten."""
    for folder in root.iterdir():
        for name in ("status.json", "environment.json", "metrics.json"):
            json.loads((folder / name).read_text())
        yaml.safe_load((folder / "config.yaml").read_text())
        for name in ("test_ranks.csv", "metrics.csv"):
            with (folder / name).open(newline="") as file:
                for row in csv.reader(file):
                    [value for value in row if value]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--queries", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        make_runs(root, given.runs, given.queries)
        times = {}

        def timed(name, call, *arguments):
            start = time.perf_counter()
            result = call(*arguments)
            times[name] = time.perf_counter() - start
            return result

        timed("plain loop over the files", read_plainly, root)
        runs, left_out = timed("reading", find_runs, [root])
        comparisons = timed("comparing", lambda: compare(cells(runs), "infonce"))
        to = timed("writing, with plots", write, comparisons, left_out, Path(folder) / "report", True)
        size = sum(file.stat().st_size for file in to.iterdir())
    for name, seconds in times.items():
        print(f"{name:<26} {seconds:6.1f} s")
    report = sum(times.values()) - times["plain loop over the files"]
    ratio = report / times["plain loop over the files"]
    print(
        f"{len(runs)} runs x {given.queries:,} queries: {report:.1f} s, {ratio:.1f} times the plain loop, "
        f"{size:,} bytes"
    )


if __name__ == "__main__":
    main()
