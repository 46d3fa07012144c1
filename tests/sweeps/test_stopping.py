"""Jobs in processes of their own that are asked to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from src.sweeps import stopping
from src.utils.errors import Preempted
from tests.conftest import PROJECT
from tests.faults.several_processes import gone
from tests.faults.training import command


@pytest.fixture
def in_a_process_of_a_sweep(monkeypatch):
    monkeypatch.setenv(stopping.OF_SWEEP, str(os.getppid()))
    monkeypatch.setattr(stopping, "_asked", [])


@pytest.mark.parametrize("stop", [Preempted(signal.SIGTERM, "saved"), KeyboardInterrupt()])
def test_a_stopped_job_ends_as_stopped_and_no_other_job_begins(in_a_process_of_a_sweep, stop):
    with pytest.raises(stopping.Stopped), stopping.job(swept=True):
        raise stop
    began = []
    with pytest.raises(stopping.Stopped), stopping.job(swept=True):
        began.append(True)
    assert not began


def test_failures_and_jobs_in_the_sweeps_own_process_raise_their_own_error(in_a_process_of_a_sweep, monkeypatch):
    with pytest.raises(OSError, match="no disk"), stopping.job(swept=True):
        raise OSError("no disk")
    with pytest.raises(KeyboardInterrupt), stopping.job(swept=False):
        raise KeyboardInterrupt
    monkeypatch.setenv(stopping.OF_SWEEP, str(os.getpid()))
    with pytest.raises(KeyboardInterrupt), stopping.job(swept=True):
        raise KeyboardInterrupt
    monkeypatch.delenv(stopping.OF_SWEEP)
    with pytest.raises(KeyboardInterrupt), stopping.job(swept=True):
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_all", "status"),
    [(signal.SIGTERM, False, 75), (signal.SIGUSR1, True, 75), (signal.SIGINT, True, 130)],
)
def test_jobs_at_work_are_interrupted_cleanly_and_resume(tmp_path, number, to_all, status):
    pytest.importorskip("joblib")
    given = command(tmp_path, "trainer.max_epochs=60", "trainer.save_every_n_steps=null", "seed=1,2,3")
    words = [sys.executable, "-m", "src.train", "-m", "hydra/launcher=processes", "hydra.launcher.n_jobs=2", *given]

    def typed() -> subprocess.Popen:
        return subprocess.Popen(
            words,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test runner's workers ignore it
        )

    def cells() -> dict[str, dict]:
        found = tmp_path.glob("outputs/sweeps/*/seed*/status.json")
        return {path.parent.name: json.loads(path.read_text()) for path in found}

    process = typed()
    until = time.monotonic() + 200
    while len(list(tmp_path.glob("outputs/sweeps/*/seed*/checkpoints/last.ckpt"))) < 2 and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    (os.killpg if to_all else os.kill)(process.pid, number)
    said, _ = process.communicate(timeout=60)
    assert gone(process.pid), said
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert [cell["status"] for cell in cells().values()] == ["interrupted"] * 2, said
    assert "2 unfinished, 1 missing" in said
    again = typed()
    said, _ = again.communicate(timeout=250)
    assert again.returncode == 0, said
    assert said.count("continues after step") == 2, said
    assert sorted(cell["attempts"] for cell in cells().values()) == [1, 2, 2]
    assert not list(tmp_path.glob("outputs/sweeps/*/replaced"))
