"""SIGKILL, at random moments and within the writing of a checkpoint; then the same command again."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from unittest import mock

import torch

from src.runs import checkpoint_file
from src.utils.files import PART
from tests.faults.harness import Fault, scratch
from tests.faults.training import Started, command, ended, start, train

TITLE = "50 SIGKILLs at random moments, 20 of them while saving, the temporary folder on another file system"
PROMISE = "the same command resumes; at most one save interval lost; no torn checkpoint, no stray file, the same ranks"
FULL = 50

RANDOM = 30
ELSEWHERE = Path("/dev/shm")  # a file system of its own


def run(full: bool) -> Iterator[Fault]:
    chance = random.Random(8)
    kills = [f"random {i}" for i in range(RANDOM if full else 1)]
    kills += [f"{stage}, save {save}" for stage in STAGES for save in ((1, 2, 3, 5, 8) if full else (2,))]
    kills = [kill.replace(f"{BETWEEN}, save 1", f"{BETWEEN}, save 4") for kill in kills]  # the first save moves once
    if not full:
        kills = [kills[0], *kills[2::2]]
    chance.shuffle(kills)
    with scratch() as folder, temporary_folder_elsewhere():
        given = command(folder)
        assert train(folder / "whole", *given, "resume=never").status == 0
        ranks = (folder / "whole" / "test_ranks.csv").read_bytes()
        work = Work(folder / "work", given, ranks)
        for kill in kills:
            yield work.killed(kill, chance)


class Work:
    """A folder in which one command is typed again and again, as after every kill."""

    def __init__(self, folder: Path, given: tuple[str, ...], ranks: bytes) -> None:
        self.folder, self.given, self.ranks = folder, given, ranks
        self.typed = 0
        self.seconds = 2.0  # that an attempt takes

    def killed(self, kill: str, chance: random.Random) -> Fault:
        """Survived where the attempt after the kill resumes as promised, to the end."""
        stage, _, save = kill.partition(", save ")
        try:
            attempt = self.type((lambda: kill_in_save(stage, int(save))) if save else None)
            if not save:
                attempt.process.join(chance.uniform(0, self.seconds))
                with suppress(ProcessLookupError):
                    os.kill(attempt.process.pid, signal.SIGKILL)
            status = ended(attempt)
            assert not save or status == -signal.SIGKILL, f"it was not killed in that save: {attempt.text()}"
            unfinished, done = self.unfinished(), self.steps()
            before = time.monotonic()
            after = self.type()
            assert ended(after) == 0, after.text()
            self.seconds = time.monotonic() - before
            self.check_going_on(after, unfinished, done)
            self.check_finished()
        except AssertionError as error:
            return Fault(kill, False, str(error))
        return Fault(kill, True)

    def type(self, before: Callable[[], None] | None = None) -> Started:
        self.typed += 1
        while (run := self.latest()) and run.name.startswith(time.strftime("%H-%M-%S")):
            time.sleep(0.05)  # a run directory is named by the second; a forked training can end within it
        return start(self.folder, self.folder.parent / f"{self.typed}.txt", self.given, before)

    def latest(self) -> Path | None:
        runs = sorted(self.folder.glob("outputs/*/*/status.json"), key=lambda path: path.stat().st_mtime)
        return runs[-1].parent if runs else None

    def unfinished(self) -> Path | None:
        """The run directory that the next attempt must go on in; None where nothing had begun, or all was done."""
        run = self.latest()
        return run if run and json.loads((run / "status.json").read_text())["status"] != "finished" else None

    def steps(self) -> int:
        """Steps that were made there, as far as metrics.csv tells."""
        run = self.unfinished()
        if run is None or not (run / "metrics.csv").exists():
            return 0
        with (run / "metrics.csv").open(newline="") as file:
            steps = [row["step"] or "" for row in csv.DictReader(file)]
        return max((int(step) + 1 for step in steps if step.isdigit()), default=0)

    def check_going_on(self, attempt: Started, unfinished: Path | None, done: int) -> None:
        said = attempt.text()
        assert "damaged" not in said, f"a torn checkpoint: {said}"
        if unfinished is None:
            return
        assert f"resume: {unfinished.relative_to(self.folder)} continues" in said, f"it started again: {said}"
        step = re.search(r"continues after step ([\d,]+)", said)
        at = int(step[1].replace(",", "")) if step else 0
        assert at >= done - 1, f"{done} steps were made, it went on after {at}"

    def check_finished(self) -> None:
        run = self.latest()
        assert (run / "test_ranks.csv").read_bytes() == self.ranks, "other ranks"
        stray = [path.name for path in run.rglob(f"*{PART}*")]
        assert not stray, f"stray files: {stray}"
        left = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert left == ["best.ckpt", "last.ckpt"], f"checkpoints: {left}"


def kill_in_save(stage: str, save: int) -> None:
    """In the process that trains: it kills itself within that save of last.ckpt."""
    saves = 0
    save_tensors, replace = torch.save, Path.replace
    whole = checkpoint_file.write

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(checkpoint: dict, path: Path) -> None:
        nonlocal saves
        saves += path.name == "last.ckpt"
        whole(checkpoint, path)

    def saving(checkpoint: dict, file: BinaryIO) -> None:
        save_tensors(checkpoint, file)
        if saves == save and stage == "half written":
            file.truncate(file.tell() // 2)
            die()

    def syncing(handle: int) -> None:
        if saves == save and stage == "before it is moved":
            die()

    def moving(self, target) -> Path:
        moved = replace(self, target)
        if saves == save and stage == BETWEEN and Path(target).name == "last.previous.ckpt":
            die()
        if saves == save and stage == "just moved" and Path(target).name == "last.ckpt":
            die()
        return moved

    checkpoint_file.write, torch.save = counted, saving
    mock.patch.object(os, "fsync", syncing).start()
    Path.replace = moving


BETWEEN = "between two moves"
STAGES = ("half written", "before it is moved", BETWEEN, "just moved")


@contextmanager
def temporary_folder_elsewhere() -> Iterator[None]:
    """Inside, what asks for a temporary folder gets one on another file system, where there is one."""
    elsewhere = {"TMPDIR": str(ELSEWHERE)} if ELSEWHERE.is_dir() else {}
    with mock.patch.dict(os.environ, elsewhere), mock.patch.object(tempfile, "tempdir", None):
        yield
