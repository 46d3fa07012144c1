"""A command of two processes that is stopped in its first seconds, as a person or SLURM starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.runtime.signals import SCHEDULER_SIGNALS
from tests.conftest import PROJECT
from tests.faults.several_processes import CASES, TWO, gone, resumed_like_whole
from tests.faults.training import command
from tests.support.processes import LOOPBACK, free_port


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_two_processes_that_were_stopped_resume_the_same_training(case, tmp_path):
    (fault,) = resumed_like_whole(tmp_path, [case])
    assert fault.survived, fault.detail


def listens(pid: int) -> bool:
    """Whether the process has a handler for both signals."""
    told = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    caught = int(told["SigCgt"], 16)
    return all(caught >> (number - 1) & 1 for number in SCHEDULER_SIGNALS)


@pytest.mark.slow
@pytest.mark.parametrize("to_all", [False, True], ids=["the first", "all"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_start_that_is_stopped_reports_one_line_and_leaves_no_process(tmp_path, number, to_all):
    words = [sys.executable, "-m", "src.train", *command(tmp_path, *TWO, "trainer.max_epochs=200")]
    environment = {**os.environ, **LOOPBACK, "MASTER_PORT": str(free_port()), "PYTHONPATH": str(PROJECT)}
    for seconds in (0, 1, 3, 5, 7):  # after it began to listen, which python itself comes before
        process = subprocess.Popen(
            [*words, f"seed={seconds}"],
            cwd=tmp_path,
            env={**environment, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        until = time.monotonic() + 60
        while not listens(process.pid) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(seconds)
        before = time.monotonic()
        (os.killpg if to_all else os.kill)(process.pid, number)
        _, errors = process.communicate(timeout=60)  # which waits for whoever still holds the pipe
        took = time.monotonic() - before
        nothing_left = gone(process.pid)
        assert nothing_left, (seconds, errors)
        assert took < 30, seconds
        assert process.returncode == 75, (seconds, errors)
        assert errors.count("\n") == 1, (seconds, errors)
        assert errors.startswith(number.name), (seconds, errors)
