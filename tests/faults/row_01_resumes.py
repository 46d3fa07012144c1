"""Trainings that end before a batch or within a validation, and the same command again."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from unittest import mock

import torch

from src.saving import SaveLast
from tests.faults.harness import Fault, scratch
from tests.faults.training import STEPS, StoppedError, command, differences, recorded_batches, train

TITLE = "24 resumes: 4 losses x start, middle, end of an epoch x 0 and 2 loader workers"
PROMISE = (
    "batches, weights, optimiser, schedule, RNG, logged rows and test_ranks.csv equal those of a run never stopped"
)
FULL = 24

# Between them: an estimator, similar batches, gradient caching, plain InfoNCE.
LOSSES = {
    "soft_infonce": ("trainer.grad_cache_chunk=8",),
    "infonce": ("weights=none",),
    "kl_regularized": ("batching=similar",),
    "bce": ("trainer.accumulate_grad_batches=2",),
}
PLACES = {"start": (1, 0), "middle": (1, 2), "end": (1, STEPS)}


def run(full: bool) -> Iterator[Fault]:
    chosen = list(product(LOSSES, (0, 2), PLACES))
    if not full:
        chosen = [("soft_infonce", 0, "middle"), ("kl_regularized", 0, "end")]
    with scratch() as folder:
        whole: dict[tuple[str, int], tuple[Path, list]] = {}
        for loss, workers, place in chosen:
            given = command(folder, f"loss={loss}", *LOSSES[loss], f"data.num_workers={workers}")
            if (loss, workers) not in whole:
                path = folder / f"{loss}-{workers}"
                with recorded_batches() as batches:
                    assert train(path, *given).status == 0
                whole[loss, workers] = path, batches
            yield resumed(f"{loss}, {workers} workers, {place}", folder, given, PLACES[place], *whole[loss, workers])


def resumed(name: str, folder: Path, given: tuple[str, ...], place: tuple[int, int], whole: Path, all_: list) -> Fault:
    path = folder / name.replace(", ", "-").replace(" ", "")
    with stopped(place) as before:
        try:
            train(path, *given)
        except StoppedError:
            pass
        else:
            return Fault(name, False, "it was never stopped")
    with recorded_batches() as after:
        result = train(path, *given)
    if result.status:
        return Fault(name, False, result.errors)
    if "goes on after step" not in result.output:
        return Fault(name, False, "it began anew")
    wrong = [] if before + after == all_ else ["the batches"]
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (whole, path)]
    wrong += differences(*states)
    if (whole / "test_ranks.csv").read_bytes() != (path / "test_ranks.csv").read_bytes():
        wrong.append("test_ranks.csv")
    if logged(whole) != logged(path):
        wrong.append("metrics.csv")
    return Fault(name, not wrong, ", ".join(wrong[:5]))


@contextmanager
def stopped(place: tuple[int, int]) -> Iterator[list]:
    """Ends a training before a batch; after the last one of an epoch, as a signal in its validation does."""
    if place[1] < STEPS:
        with recorded_batches(place) as batches:
            yield batches
        return
    original = SaveLast.on_validation_batch_start

    def asked(self, trainer, module, *args) -> None:
        if trainer.current_epoch == place[0]:
            with mock.patch.object(self, "watch", mock.Mock(asked=True, stop=mock.Mock(side_effect=StoppedError))):
                original(self, trainer, module, *args)

    with recorded_batches() as batches, mock.patch.object(SaveLast, "on_validation_batch_start", asked):
        yield batches


def logged(run: Path) -> list[dict[str, str]]:
    """Every row of metrics.csv, less what is a time."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{key: row[key] for key in row if key != "train/pairs_per_second"} for row in csv.DictReader(file)]
