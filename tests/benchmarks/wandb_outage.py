"""What W&B's outages cost a training, as ratios to the same training without W&B; and what of its log is kept.

    python -m tests.benchmarks.wandb_outage --epochs 20 --pause 0.3

A server on loopback refuses, hangs, answers 401 or 500, or goes away in mid-run. Kept: losses that W&B's log on disk
holds, of those in metrics.csv. Every step rests for `pause` seconds, as a processor does while a GPU works: so the time
of a run depends less on what else a shared machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import wandb

from src.module import CodeSearchModule
from tests.commands import QUICK, run_command
from tests.doubles import write_corpus
from tests.processes import free_port
from tests.transactions import finished, history
from tests.wandb_server import KEY, Server, wandb_on_loopback

OUTAGES = ("none", "refused", "unknown host", "hang", "401", "500", "drop in mid-run", "hang in mid-run")


@contextlib.contextmanager
def outage(kind: str) -> Iterator[None]:
    """The environment of a run, and a server that fails as asked."""
    wandb.teardown()
    with wandb_on_loopback() as server:
        urls = {"refused": f"http://127.0.0.1:{free_port()}", "unknown host": "http://nobody.invalid"}
        os.environ.update(WANDB_BASE_URL=urls.get(kind, server.url), WANDB_API_KEY=KEY)
        if kind in ("hang", "401", "500"):
            server.fails = kind
        if kind.endswith("in mid-run"):
            threading.Thread(target=fail_later, args=(server, kind.split()[0]), daemon=True).start()
        try:
            yield
        finally:
            server.over.set()
            wandb.teardown()


def fail_later(server: Server, how: str) -> None:
    """Fails once the run has begun to upload its history."""
    while not any(run["history"] for run in server.runs.values()) and not server.over.wait(0.1):
        pass
    server.fails = how


def trained(folder: Path, root: Path, epochs: int, logger: str) -> float:
    """Seconds of a whole run."""
    start = time.perf_counter()
    about = (f"corpus.root={root}", "corpus=codesearchnet", "data.batch_size=16", f"trainer.max_epochs={epochs}")
    quiet = ("trainer.check_val_every_n_epoch=10", "trainer.log_every_n_steps=4")
    result = run_command("train", folder, *QUICK, *about, *quiet, f"logger={logger}")
    assert result.status == 0, result.errors
    print("".join(f"    {line}\n" for line in result.output.splitlines() if line.startswith("W&B")), end="")
    return time.perf_counter() - start


def kept(folder: Path) -> str:
    """Losses in W&B's files, of those in metrics.csv."""
    with (folder / "metrics.csv").open(newline="") as file:
        there = sum(bool(row["train/loss"]) for row in csv.DictReader(file))
    parts = [finished(path) for path in folder.glob("wandb/*run-*/run-*.wandb")]
    return f"{sum(len(history(part, 'train/loss')) for part in parts)} of {there}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--epochs", type=int, default=20)  # of four steps
    arguments.add_argument("--pause", type=float, default=0.3)
    given = arguments.parse_args()
    epochs = given.epochs
    CodeSearchModule.on_train_batch_end = lambda *_: time.sleep(given.pause)
    torch.set_num_threads(1)
    os.environ.pop("WANDB_MODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = write_corpus(folder / "corpus")
        trained(folder / "warm", root, 10, "csv")
        rows, without = [], []
        for i, kind in enumerate(OUTAGES):
            if i % 3 == 0:
                without.append(trained(folder / f"csv{i}", root, epochs, "csv"))
            with outage(kind):
                seconds = trained(folder / f"wandb{i}", root, epochs, "wandb")
            rows.append((kind, without[-1], seconds, kept(folder / f"wandb{i}")))
            print(f"{kind:16} {without[-1]:6.1f} s without, {seconds:6.1f} s with, kept {rows[-1][3]}", flush=True)
    print(f"\nwithout W&B: {', '.join(f'{seconds:.1f} s' for seconds in without)}")
    print("\n| Outage | with W&B | longer by | ratio | losses kept locally |\n|---|---|---|---|---|")
    for kind, before, seconds, there in rows:
        print(f"| {kind} | {seconds:.1f} s | {seconds - before:.1f} s | {seconds / before:.2f} | {there} |")


if __name__ == "__main__":
    main()
