"""A training of two seconds for the rows that break trainings, here or in a process of its own."""

from __future__ import annotations

import contextlib
import csv
import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from src.data.collate import TrainingBatch
from tests.support.commands import Result, run_command
from tests.support.doubles import write_corpus

# 67 pairs in batches of 16: 4 steps an epoch, 3 epochs. Saved before every step, so that no interval hides a loss.
STEPS = 4
TINY = (
    *("logger=csv", "trainer.accelerator=cpu", "compare_infonce=false", "corpus=codesearchnet", "data.batch_size=16"),
    *("trainer.max_epochs=3", "backbone.encoder.embedding_size=16", "backbone.encoder.buckets=256"),
    *("backbone.encoder.dropout=0.1", "trainer.log_every_n_steps=1", "trainer.save_every_n_steps=1"),
    *("data.num_workers=0",),
)


def command(folder: Path, *overrides: str) -> tuple[str, ...]:
    """The overrides of a training on a corpus in `folder`, with the cache there."""
    root = folder / "corpus"
    if not root.exists():
        write_corpus(root)
    return (*TINY, f"corpus.root={root}", f"cache={folder / 'cache'}", *overrides)


def train(run: Path, *overrides: str) -> Result:
    return run_command("train", run, *overrides)


@dataclass
class Started:
    """A process that trains, and what it says."""

    process: Any
    said: Path

    def text(self) -> str:
        return self.said.read_text() if self.said.exists() else ""


def start(work: Path, said: Path, overrides: tuple[str, ...], before: Callable[[], None] | None = None) -> Started:
    """`python -m src.train <overrides>` typed in the folder `work`, in a process forked from this one.

    The fork spares seconds of imports; all else is as in a shell: outputs/ is below `work`, and signals are its own.
    """

    def child() -> None:
        os.chdir(work)
        torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with said.open("w", buffering=1) as page, contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
            if before is not None:
                before()
            status = typed(overrides)
        os._exit(status)

    work.mkdir(parents=True, exist_ok=True)
    gc.collect()  # a loader of this process that is found dead in the other one complains there
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    return Started(process, said)


def typed(overrides: tuple[str, ...]) -> int:
    """Status of the command in this process, without a directory of its own."""
    import sys

    from src import cli
    from src import train as entry

    sys.argv = ["train.py", *overrides]
    try:
        cli.run(entry.main, "train")
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


def ended(started: Started, seconds: float = 120.0) -> int:
    """Exit status; kills what takes longer."""
    started.process.join(seconds)
    if started.process.is_alive():
        started.process.kill()
        started.process.join()
    return started.process.exitcode


def wait_for(holds: Callable[[], bool], started: Started, seconds: float = 120.0) -> bool:
    """Whether it came to hold while the process was alive."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        if not started.process.is_alive():
            return holds()
        time.sleep(0.002)
    return False


class StoppedError(Exception):
    """The end of a process, as far as the training can tell."""


@contextlib.contextmanager
def recorded_batches(stop: tuple[int, int] | None = None) -> Iterator[list]:
    """What was trained on, as (epoch, batch, tokens); ends the training just before the batch `stop`."""
    from src.training.checkpointing import SaveLast

    seen: list = []
    original = SaveLast.on_train_batch_start

    def watched(self: Any, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        original(self, trainer, module, batch, batch_idx)
        if (trainer.current_epoch, batch_idx) == stop:
            raise StoppedError
        seen.append((trainer.current_epoch, batch_idx, fingerprint(batch)))

    with mock.patch.object(SaveLast, "on_train_batch_start", watched):
        yield seen


def fingerprint(batch: TrainingBatch) -> tuple:
    return tuple(tuple(tensor.flatten().tolist()) for tensor in tensors([batch.queries, batch.codes]))


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor within it, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from tensors(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif hasattr(value, "__dict__"):
        yield from tensors(vars(value))


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two checkpoints are not equal to the last bit; times apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{path}/{key} is in one only" for key in one.keys() ^ other.keys()]
        return found + [
            d for key in one.keys() & other.keys() for d in differences(one[key], other[key], f"{path}/{key}")
        ]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return [f"{path} has {len(one)} and {len(other)} items"]
        return [d for i, (a, b) in enumerate(zip(one, other)) for d in differences(a, b, f"{path}/{i}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [path]
    if path.endswith(("/seconds", "/training_seconds", "Throughput/pairs")):
        return []
    return [] if one == other else [path]


def logged(run: Path) -> list[dict[str, str]]:
    """Every row of metrics.csv, less what is a time."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{key: row[key] for key in row if key != "train/pairs_per_second"} for row in csv.DictReader(file)]
