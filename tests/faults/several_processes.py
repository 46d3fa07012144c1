"""One command as two processes that Lightning starts, stopped or killed in mid-epoch; then the same command again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lightning.pytorch.strategies.launchers import subprocess_script

from src import train as train_entry
from src.runtime import launch
from src.training.checkpointing import SaveLast
from tests.faults.harness import Fault
from tests.faults.training import STEPS, Started, command, differences, ended, logged, start, typed, wait_for
from tests.support.processes import LOOPBACK, free_port

SECONDS = 30.0
TWO = ("trainer.devices=2", "trainer.strategy=ddp")


def start_two(work: Path, said: Path, overrides: Sequence[str], before: Callable[[], None] = lambda: None) -> Started:
    """As `start`, with the second process of the command forked too: Lightning's launcher asks for it as ever.

    Both, and what they start, are a process group of their own, as a shell or SLURM makes it.
    """

    def prepare() -> None:
        os.setpgid(0, 0)
        os.environ.update({**LOOPBACK, "MASTER_PORT": str(free_port())})
        os.environ.pop("LOCAL_RANK", None)
        before()
        subprocess_script.subprocess = SimpleNamespace(Popen=Forked().popen)

    return start(work, said, tuple(overrides), prepare)


class Forked:
    """A process that waits, with all imports made, until Lightning starts it; what subprocess.Popen would return."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid:
            os.close(reading)
            return
        os.close(self._writing)
        with os.fdopen(reading) as words:
            told = words.read()
        if not told:  # it was never needed
            os._exit(0)
        environment, command, held = json.loads(told)
        os.environ.clear()
        os.environ.update(environment)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)  # as fork and exec pass it on
        launch.PARENT = os.getppid()
        status = self.begin(command[3:] if command[1] == "-m" else command[2:])
        sys.stdout.flush()
        os._exit(status)

    def begin(self, overrides: Sequence[str]) -> int:
        return typed(tuple(overrides))

    def popen(self, command: Sequence[str], env: dict[str, str], cwd: str) -> Forked:
        with os.fdopen(self._writing, "w") as words:
            words.write(json.dumps((env, command, list(signal.pthread_sigmask(signal.SIG_BLOCK, ())))))
        return self

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def alive(pids: Sequence[int]) -> list[int]:
    """Those of the processes that run; a zombie that nobody has waited for does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.append(pid)
    return found


def group_of(leader: int) -> list[int]:
    """Every process of the command: of the group that its first process leads, loader workers included."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if alive([pid]) and _group(pid) == leader]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def gone(leader: int, seconds: float = 10.0) -> bool:
    """Whether nothing of the command lives on; kills what does."""
    until = time.monotonic() + seconds
    while left := group_of(leader):
        if time.monotonic() > until:
            os.killpg(leader, signal.SIGKILL)
            return False
        time.sleep(0.02)
    return not left


def wait_at(place: str, mark: Path, rank: int = 0) -> Callable[[], None]:
    """In that process: once it is there it leaves a mark, and stays long enough to be hit."""
    owner, name, calls_before = PLACES[place]

    def prepare() -> None:
        target = {"train": train_entry, "saving": SaveLast, "here": Forked}[owner]
        original, calls = getattr(target, name), []

        def waiting(*arguments: Any, **options: Any) -> Any:
            calls.append(1)
            if launch.process_rank() == rank and len(calls) == calls_before + 1:
                mark.touch()
                until = time.monotonic() + (4.0 if place == STARTS else 0.5)
                while time.monotonic() < until:  # a sleep would end with the signal
                    time.sleep(0.01)
            return original(*arguments, **options)

        setattr(target, name, waiting)

    return prepare


STARTS = "while the second starts"
# Where, in which function, after how many calls of it by that process.
PLACES = {
    "in mid-epoch": ("saving", "on_train_batch_start", STEPS + 2),
    "in its preparation": ("train", "build_model_and_data", 0),
    STARTS: ("here", "begin", 0),
}


class Case:
    """A stop of the command, by a signal to all its processes or to the first alone."""

    def __init__(self, number: signal.Signals, place: str, to_all: bool, workers: int = 0, rank: int = 0) -> None:
        self.number, self.place, self.to_all, self.workers, self.rank = number, place, to_all, workers, rank

    @property
    def name(self) -> str:
        told = "all processes" if self.to_all else "the first"
        workers = f", {self.workers} workers" if self.workers else ""
        return f"two processes, {self.number.name} to {told} {self.place}{workers}"


CASES = (
    Case(signal.SIGTERM, "in mid-epoch", to_all=False),
    Case(signal.SIGTERM, "in mid-epoch", to_all=True, workers=2),
    Case(signal.SIGUSR1, "in mid-epoch", to_all=True),
    Case(signal.SIGKILL, "in mid-epoch", to_all=True),
    Case(signal.SIGKILL, "in mid-epoch", to_all=False),
    Case(signal.SIGKILL, "in mid-epoch", to_all=False, workers=2),
    Case(signal.SIGTERM, "in its preparation", to_all=False),
    Case(signal.SIGTERM, "in its preparation", to_all=True, rank=1),
    Case(signal.SIGTERM, STARTS, to_all=False, rank=1),
    Case(signal.SIGTERM, STARTS, to_all=True, rank=1),
    Case(signal.SIGKILL, STARTS, to_all=False, rank=1),
)
QUICK = CASES[:1]


def resumed_like_whole(folder: Path, cases: Sequence[Case]) -> Iterator[Fault]:
    """Each case's command, stopped and typed again, equals the one that was never stopped."""
    given = command(folder, *TWO)
    whole = start_two(folder / "whole", folder / "whole.txt", given)
    assert ended(whole) == 0, whole.text()
    for i, case in enumerate(cases):
        try:
            stopped(folder / str(i), (*given, f"data.num_workers={case.workers}"), case, only_run(folder / "whole"))
            yield Fault(case.name, True)
        except AssertionError as error:
            yield Fault(case.name, False, str(error))


def stopped(work: Path, given: Sequence[str], case: Case, whole: Path) -> None:
    mark = work.parent / f"{work.name}.mark"
    first = start_two(work, work.parent / f"{work.name}.txt", given, wait_at(case.place, mark, case.rank))
    leader = first.process.pid
    try:
        assert wait_for(mark.exists, first), f"never got there: {first.text()}"
        before = time.monotonic()
        (os.killpg if case.to_all else os.kill)(leader, case.number)
        status = ended(first, SECONDS)
        took = time.monotonic() - before
    finally:
        nothing_left = gone(leader)
    said = first.text()
    assert nothing_left, f"processes lived on: {said}"
    assert "Traceback" not in said, said
    (run,) = (path.parent for path in work.glob("outputs/*/*/status.json"))
    recorded = json.loads((run / "status.json").read_text())["status"]
    if case.number == signal.SIGKILL:
        assert (status, recorded) == (-signal.SIGKILL, "running"), (status, recorded, said)
    else:
        assert (status, recorded) == (75, "interrupted"), (status, recorded, said)
        assert took < SECONDS, f"it took {took:.0f} s"
        lines = [line for line in said.splitlines() if case.number.name in line]
        assert len(lines) == 1, f"expected one line, found {lines} in {said}"
    again = start_two(work, work.parent / f"{work.name}-again.txt", given)
    assert ended(again) == 0, again.text()
    assert f"resume: {run.relative_to(work)} continues" in again.text(), again.text()
    assert case.place != "in mid-epoch" or "continues after step" in again.text(), f"it started again: {again.text()}"
    wrong = unequal(only_run(work), whole)
    assert not wrong, f"not as the run that was never stopped: {wrong[:5]}"


def only_run(work: Path) -> Path:
    (run,) = (path.parent for path in work.glob("outputs/*/*/status.json"))
    return run


def unequal(run: Path, whole: Path) -> list[str]:
    """What of a run is not that of the other, to the last bit."""
    states = [torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (whole, run)]
    wrong = [path for path in differences(*states) if path != "/run_config/data/num_workers"]
    wrong += [] if (whole / "test_ranks.csv").read_bytes() == (run / "test_ranks.csv").read_bytes() else ["the ranks"]
    return wrong + ([] if logged(whole) == logged(run) else ["metrics.csv"])
