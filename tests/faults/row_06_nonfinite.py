"""Losses, gradients and weights that are not finite, and batches without a negative."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from unittest import mock

import torch

from src.module import CodeSearchModule
from src.runs.checkpoint_file import read
from tests.faults.harness import Fault, scratch
from tests.faults.training import command, train
from tests.support.commands import Result

TITLE = "6 non-finite cases: loss, gradient, weight, fp16 overflow, a batch of 1, a batch of duplicates only"
PROMISE = "no bad update, no bad checkpoint; the batch's ids are printed; trainer.on_nonfinite=stop|skip"
FULL = 9
BAD_STEP = 6  # of 12


def run(full: bool) -> Iterator[Fault]:
    with scratch() as folder:
        given = command(folder)
        cases = {
            "loss, stop": lambda run: stops(train_with(bad_loss(), run, given), run, "loss"),
            "gradient, skip": lambda run: skips(train_with(bad_gradient(), run, *skip(given)), run, "gradient"),
            "weight": lambda run: unsaved(train_with(bad_weight(), run, *skip(given)), run),
            "a batch of duplicates": lambda run: no_negatives(folder, run),
            "gradient, stop": lambda run: stops(train_with(bad_gradient(), run, given), run, "gradient"),
            "loss, skip": lambda run: skips(train_with(bad_loss(), run, *skip(given)), run, "loss"),
            "fp16 overflow, stop": lambda run: overflows(train(run, *given, *HALF), run),
            "fp16 overflow, skip": lambda run: overflows_skipped(train(run, *given, *HALF, SKIP), run),
            "a batch of 1": lambda run: refused(train(run, *given, "loss=infonce", "data.batch_size=1")),
        }
        for name in cases if full else list(cases)[:4]:
            detail = cases[name](folder / name.replace(", ", "-").replace(" ", "-"))
            yield Fault(name, not detail, detail)


SKIP = "trainer.on_nonfinite=skip"
HALF = ("trainer.precision=16-true", "model.score_scale=60000", "model.similarity=dot", "loss=infonce")


def skip(given: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    return given, SKIP


def train_with(fault: AbstractContextManager, run: Path, given: tuple[str, ...], *more: str) -> Result:
    with fault:
        return train(run, *given, *more)


# The faults


def at_bad_step(change: Callable[[CodeSearchModule, torch.Tensor], torch.Tensor]) -> AbstractContextManager:
    """Changes the loss that the module returns at one step."""
    original = CodeSearchModule.training_step

    def step(self: CodeSearchModule, batch: dict, batch_idx: int) -> torch.Tensor:
        loss = original(self, batch, batch_idx)
        return change(self, loss) if self.global_step == BAD_STEP - 1 else loss

    return mock.patch.object(CodeSearchModule, "training_step", step)


def bad_loss() -> AbstractContextManager:
    return at_bad_step(lambda module, loss: loss * float("nan"))


def bad_gradient() -> AbstractContextManager:
    """A finite loss, as where the square root of 0 is differentiated."""

    def change(module: CodeSearchModule, loss: torch.Tensor) -> torch.Tensor:
        parameter = next(p for p in module.parameters() if p.requires_grad)
        return loss + 0 * (parameter.flatten()[0] * 0).sqrt()

    return at_bad_step(change)


def bad_weight() -> AbstractContextManager:
    """One number of a table that no batch reads: neither loss nor gradient shows it."""

    def end(self: CodeSearchModule, outputs: object, batch: dict, batch_idx: int) -> None:
        if self.global_step == BAD_STEP:
            with torch.no_grad():
                next(p for p in self.parameters() if p.ndim == 2)[-1, 0] = float("nan")

    return mock.patch.object(CodeSearchModule, "on_train_batch_end", end)


# What must hold; each returns what does not


def stops(result: Result, run: Path, what: str) -> str:
    line = result.errors.strip()
    if (
        result.status != 2
        or "\n" in line
        or f"the {what} is not finite" not in line
        or f"at step {BAD_STEP}" not in line
    ):
        return f"status {result.status}, said {line!r}"
    if ": pairs u" not in line or "u" not in (run / "train.log").read_text():
        return f"no ids in {line!r}"
    return saved_is_good(run, at_most=BAD_STEP - 1)


def skips(result: Result, run: Path, what: str) -> str:
    if result.status or result.output.count("skipped:") != 1 or f"the {what} is not finite" not in result.output:
        return f"status {result.status}: {result.output} {result.errors}"
    rows = json.loads((run / "metrics.json").read_text())
    optimiser = read(run / "checkpoints" / "last.ckpt")["optimizer_states"][0]["state"]
    made = {int(state["step"]) for state in optimiser.values()}
    if made != {11}:  # of 12 steps, one was not made
        return f"AdamW made {made} steps"
    return saved_is_good(run, at_most=12) or ("" if all(map(finite, rows.values())) else f"metrics {rows}")


def unsaved(result: Result, run: Path) -> str:
    line = result.errors.strip()
    if result.status != 2 or "\n" in line or ("holds inf or NaN" not in line and "is not finite" not in line):
        return f"status {result.status}, said {line!r}"
    return saved_is_good(run, at_most=BAD_STEP)


def overflows(result: Result, run: Path) -> str:
    line = result.errors.strip()
    if result.status != 2 or "\n" in line or "is not finite" not in line or ": pairs u" not in line:
        return f"status {result.status}, said {line!r}"
    return saved_is_good(run, at_most=12) if (run / "checkpoints" / "last.ckpt").exists() else ""


def overflows_skipped(result: Result, run: Path) -> str:
    """Whatever was skipped, nothing that is not finite was learnt or saved."""
    if result.status == 0 and "skipped:" not in result.output:
        return "nothing overflowed"
    return saved_is_good(run, at_most=12)


def refused(result: Result) -> str:
    line = result.errors.strip()
    if result.status != 2 or "\n" in line or "batch_size" not in line:
        return f"status {result.status}, said {line!r}"
    return ""


def no_negatives(folder: Path, run: Path) -> str:
    """Every pair of the training split is the same: with mask_duplicates no row has a negative."""
    root = folder / "copies" / "python"
    root.mkdir(parents=True)
    for path in (folder / "corpus" / "python").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        if path.stem == "train":
            first = json.loads(lines[0])
            lines = [json.dumps({**first, "url": f"u{i}"}) + "\n" for i in range(len(lines))]
        (root / path.name).write_text("".join(lines))
    result = train(run, *command(folder), f"corpus.root={root.parent}", "negatives.mask_duplicates=true")
    if result.status == 2:
        line = result.errors.strip()
        return "" if "\n" not in line else f"said {line!r}"
    return f"status {result.status}" if result.status else saved_is_good(run, at_most=12)


def saved_is_good(run: Path, at_most: int) -> str:
    """Whether every checkpoint is finite, and of a step before the bad one."""
    for path in sorted((run / "checkpoints").glob("*.ckpt")):
        checkpoint = read(path)
        if checkpoint["global_step"] > at_most:
            return f"{path.name} is of step {checkpoint['global_step']}"
        if not all(finite(tensor) for tensor in checkpoint["state_dict"].values()):
            return f"{path.name} holds a number that is none"
    return "" if list((run / "checkpoints").glob("*.ckpt")) else "no checkpoint was saved"


def finite(value: torch.Tensor | float) -> bool:
    return bool(torch.isfinite(torch.as_tensor(value)).all())
