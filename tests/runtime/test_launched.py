"""One command as several processes, as a person starts it: by Lightning, torchrun, a batch file; and as they end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.runs.directory import read_ranks
from tests.conftest import PROJECT
from tests.runtime.test_launch import SLURM, SMALL
from tests.support.doubles import write_corpus
from tests.support.processes import LOOPBACK, free_port

LIMIT = 540.0  # seconds for a command that takes 20 of them alone: a busy machine is no failure
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def environment(folder: Path, **more: str) -> dict[str, str]:
    there = {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder), **LOOPBACK}
    return {**os.environ, **there, "MASTER_PORT": str(free_port()), **more}


def started(folder: Path, *command: str, **more: str) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test runner's workers ignore it
    )


def ended(process: subprocess.Popen, within: float = LIMIT) -> tuple[str, str]:
    """Its output and its errors, once nobody holds them any more; where that takes too long, all of it is killed."""
    try:
        return process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def only_run(folder: Path) -> Path:
    """The one run directory, under its default name."""
    (run,) = (path.parent for path in folder.glob("outputs/*/*/status.json"))
    assert len(list(run.parent.iterdir())) == 1
    return run


@pytest.mark.slow
def test_lightnings_own_launch_finishes_one_run_in_one_directory(root, tmp_path):
    process = started(
        *(tmp_path, sys.executable, "-m", "src.train", *SMALL, f"corpus.root={root}", "trainer.devices=2"),
    )
    output, errors = ended(process)
    assert process.returncode == 0, errors
    run = only_run(tmp_path)
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    assert len(read_ranks(run / "test_ranks.csv")) == 13
    assert output.count("epoch 2/2") == output.count("R@10") == 1
    assert errors == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]


@pytest.mark.slow
def test_torchrun_finishes_one_run_and_prints_once(root, tmp_path):
    command = ("-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m", "src.train")
    given = (*SMALL, f"corpus.root={root}", "trainer=ddp", "trainer.accelerator=cpu", "weights=simcse")
    process = started(tmp_path, sys.executable, *command, *given, "weights.training.batch_size=16")
    output, errors = ended(process)
    assert process.returncode == 0, errors
    assert json.loads((only_run(tmp_path) / "status.json").read_text())["status"] == "finished"
    assert output.count("epoch 2/2 ") == 1
    assert output.count("epoch 10/10") == 1  # of the estimator's model


SRUN = """#!{python}
import os, subprocess, sys
words = sys.argv[1:]
while words[0].startswith("--"):
    words.pop(0)
number = int(os.environ["SLURM_NTASKS_PER_NODE"])
tasks = [
    subprocess.Popen(words, env={{**os.environ, "SLURM_STEP_ID": "0", "SLURM_NODEID": "0",
                                  "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}})
    for i in range(number)
]
sys.exit(max(task.wait() for task in tasks))
"""


def test_the_batch_file_for_slurm_is_valid_bash():
    assert subprocess.run(["bash", "-n", PROJECT / "docs" / "slurm" / "train.sbatch"]).returncode == 0


@pytest.mark.slow
def test_the_batch_file_for_slurm_finishes_one_run(root, tmp_path):
    binaries = tmp_path / "venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "srun").write_text(SRUN.format(python=sys.executable))
    (binaries / "srun").chmod(0o755)
    (binaries / "python").symlink_to(sys.executable)
    (binaries / "python").unlink()
    (binaries / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (binaries / "python").chmod(0o755)
    (binaries / "activate").write_text(f'PATH="{binaries}:$PATH"\n')
    work = tmp_path / "work"
    work.mkdir()
    slurm = {key: value for key, value in SLURM.items() if key != "SLURM_STEP_ID"}
    process = started(
        *(work, "bash", str(PROJECT / "docs" / "slurm" / "train.sbatch")),
        *(*SMALL, f"corpus.root={root}", "weights=trained_model"),
        **{**slurm, "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "soft-infonce", "SLURM_NODELIST": "127.0.0.1"},
        **{"VENV": str(binaries.parent), "SLURM_SUBMIT_DIR": str(work)},
    )
    output, errors = ended(process)
    assert process.returncode == 0, errors
    assert json.loads((only_run(work) / "status.json").read_text())["status"] == "finished"
    assert output.count("epoch 2/2") == 2  # and of the estimator's model


FAILING = """
import os, sys
from src import cli, train
from src.utils.errors import InputError
from src.module import CodeSearchModule

step = CodeSearchModule.training_step

def fails(self, batch, batch_idx):
    if os.environ.get("LOCAL_RANK") == "1":
        raise InputError("a text that only this process has")
    return step(self, batch, batch_idx)

CodeSearchModule.training_step = fails
cli.run(train.main, "train")
"""


@pytest.mark.slow
def test_a_process_that_fails_alone_is_named_in_one_line_and_ends_the_others(root, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    process = started(tmp_path, sys.executable, "failing.py", *SMALL, f"corpus.root={root}", "trainer.devices=2")
    _, errors = ended(process)
    assert process.returncode not in (0, None)
    assert errors == "error: process 1: a text that only this process has\n"
    assert json.loads((only_run(tmp_path) / "status.json").read_text())["status"] == "failed"


@pytest.mark.slow
def test_ctrl_c_leaves_no_process_behind(root, tmp_path):
    command = (sys.executable, "-m", "src.train", *SMALL, f"corpus.root={root}", "trainer.max_epochs=100000")
    process = started(tmp_path, *command, "trainer.devices=2", f"hydra.run.dir={tmp_path / 'run'}")
    for _ in range(900):
        if (tmp_path / "run" / "checkpoints" / "last.ckpt").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)  # the first alone: a terminal asks all of them
    _, errors = ended(process, within=60)  # which waits for whoever still holds the pipe
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].startswith("interrupted")
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "status.json").read_text())["status"] == "interrupted"
