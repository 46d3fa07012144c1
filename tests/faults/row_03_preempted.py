"""SIGTERM and SIGUSR1, as a scheduler sends them that takes a machine back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from src.loggers.wandb import ID
from tests.faults.harness import Fault, scratch
from tests.faults.training import Started, command, ended, start, train, wait_for

TITLE = "12 SIGTERM / SIGUSR1 to a run, in its steps, validations, preparations and test"
PROMISE = "saved at a step boundary within 30 s, status 75; the same command resumes: same ranks, directory and W&B run"
FULL = 12
SECONDS = 30.0


def run(full: bool) -> Iterator[Fault]:
    cases = [(number, place, "csv") for place in PLACES for number in (signal.SIGTERM, signal.SIGUSR1)]
    cases += [(signal.SIGTERM, "in a step", "wandb"), (signal.SIGUSR1, "in the test", "wandb")]
    if not full:
        cases = cases[:1]
    with scratch() as folder:
        given = command(folder)
        assert train(folder / "whole", *given).status == 0
        ranks = (folder / "whole" / "test_ranks.csv").read_bytes()
        for i, (number, place, logger) in enumerate(cases):
            name = f"{number.name} {place}" + (", with W&B" if logger == "wandb" else "")
            try:
                run = stopped(folder / str(i), (*given, f"logger={logger}"), number, place, ranks)
                check_continued(run, logger)
                yield Fault(name, True)
            except AssertionError as error:
                yield Fault(name, False, str(error))


def stopped(work: Path, given: tuple[str, ...], number: signal.Signals, place: str, ranks: bytes) -> Path:
    """The run directory of a command that was stopped there and typed again."""
    mark = work.parent / f"{work.name}.mark"
    attempt = start(work, work.parent / f"{work.name}.txt", given, lambda: wait_at(place, mark))
    assert wait_for(mark.exists, attempt), f"never got there: {attempt.text()}"
    before = time.monotonic()
    os.kill(attempt.process.pid, number)
    status = ended(attempt)
    took = time.monotonic() - before
    assert status == 75, f"exit status {status}: {attempt.text()}"
    assert took < SECONDS, f"it took {took:.0f} s"
    (run,) = (path.parent for path in work.glob("outputs/*/*/status.json"))
    assert json.loads((run / "status.json").read_text())["status"] == "interrupted"
    saved = check_saved(run, attempt, place)
    after = start(work, work.parent / f"{work.name}-again.txt", given)
    assert ended(after) == 0, after.text()
    said = after.text()
    assert f"resume: {run.relative_to(work)} continues" in said, said
    assert saved is None or f"after step {saved:,}" in said, f"saved after step {saved}, then: {said}"
    assert len(list(work.glob("outputs/*/*/status.json"))) == 1
    assert (run / "test_ranks.csv").read_bytes() == ranks, "other ranks"
    return run


def check_continued(run: Path, logger: str) -> None:
    """Both attempts are parts of the same run of W&B, which was offline."""
    if logger != "wandb":
        return
    ids = [part.name.rpartition("-")[2] for part in sorted(run.glob("wandb/offline-run-*"))]
    assert ids == [(run / ID).read_text().strip()] * 2, f"W&B's runs are {ids}"


def check_saved(run: Path, attempt: Started, place: str) -> int | None:
    """The step that it said it saved, which must be all that was made."""
    if place not in ("in a step", "in a validation"):
        return None
    steps = sum(bool(row.split(",")[0]) for row in (run / "metrics.csv").read_text().splitlines()[1:])
    assert steps, "no row was logged"
    said = attempt.text()
    assert "saved after step" in said, said
    return int(said.split("saved after step ")[1].split(";")[0].replace(",", ""))


def wait_at(place: str, mark: Path) -> None:
    """In the process that trains: once it is there it leaves a mark, and is slow enough to be hit."""
    from src import train
    from src.module import CodeSearchModule

    def slow(original: Callable) -> Callable:
        def waiting(*args, **kwargs):
            ready = calls.append(1) or len(calls) > PLACES[place][2]
            if ready:
                mark.touch()
                until = time.monotonic() + 0.5
                while time.monotonic() < until:  # a sleep would end with the signal
                    time.sleep(0.01)
            return original(*args, **kwargs)

        return waiting

    calls: list[int] = []
    owner = {"train": train, "module": CodeSearchModule}[PLACES[place][0]]
    setattr(owner, PLACES[place][1], slow(getattr(owner, PLACES[place][1])))


# Where, in which function, after how many calls of it. The validation has two batches an epoch.
PLACES = {
    "in a step": ("module", "training_step", 5),
    "in a validation": ("module", "validation_step", 2),
    "in the first step": ("module", "training_step", 0),
    "before the training": ("train", "build_model_and_data", 0),
    "in the test": ("module", "test_step", 0),
}
