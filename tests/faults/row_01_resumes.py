"""Trainings that end before a batch or within a validation, or as two processes, and the same command again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from unittest import mock

import torch
from hydra.utils import instantiate

from src.config.compose import compose_config
from src.data.mined_negatives import write_mined
from src.training.checkpointing import SaveLast
from tests.faults import several_processes
from tests.faults.harness import Fault, scratch
from tests.faults.several_processes import CASES
from tests.faults.training import STEPS, StoppedError, command, differences, logged, recorded_batches, train

TITLE = "resumes: 4 losses x start, middle, end of an epoch x 0 and 2 loader workers; mined negatives; two processes"
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
MINED = "mined negatives"  # with Soft-InfoNCE: further columns of every batch, which the batch alone decides
PLACES = {"start": (1, 0), "middle": (1, 2), "end": (1, STEPS)}


def run(full: bool) -> Iterator[Fault]:
    chosen = list(product((*LOSSES, MINED), (0, 2), PLACES))
    if not full:
        chosen = [("soft_infonce", 0, "middle"), ("kl_regularized", 0, "end"), (MINED, 0, "middle")]
    with scratch() as folder:
        whole: dict[tuple[str, int], tuple[Path, list]] = {}
        for loss, workers, place in chosen:
            options = (f"loss={loss}", *LOSSES[loss]) if loss in LOSSES else with_mined(folder)
            given = command(folder, *options, f"data.num_workers={workers}")
            if (loss, workers) not in whole:
                path = folder / f"{loss}-{workers}"
                with recorded_batches() as batches:
                    assert train(path, *given).status == 0
                whole[loss, workers] = path, batches
            yield resumed(f"{loss}, {workers} workers, {place}", folder, given, PLACES[place], *whole[loss, workers])
        yield from several_processes.resumed_like_whole(folder, CASES if full else CASES[:1])


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
    if "continues after step" not in result.output:
        return Fault(name, False, "it started again")
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
            watcher = mock.Mock(stop_requested=True, stop=mock.Mock(side_effect=StoppedError))
            with mock.patch.object(self, "watcher", watcher):
                original(self, trainer, module, *args)

    with recorded_batches() as batches, mock.patch.object(SaveLast, "on_validation_batch_start", asked):
        yield batches


def with_mined(folder: Path) -> tuple[str, ...]:
    """Overrides that choose negatives of every third pair of the corpus: the others' places are filled at random."""
    train_split = instantiate(compose_config("train", command(folder)).corpus).split("train")
    number = len(train_split)
    negatives = {i: [(i + step) % number for step in (1, 5, 9, 13)] for i in range(0, number, 3)}
    write_mined(folder / "negatives.jsonl", train_split, negatives.items())
    return ("loss=soft_infonce", f"negatives.mined={folder / 'negatives.jsonl'}", "negatives.mined_per_query=2")
