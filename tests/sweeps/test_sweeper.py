"""Sweeps that are typed again: what is finished is never run or touched, and what is missing always is."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from filelock import FileLock
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from src.report.runs import find_runs
from tests.support.commands import run_command
from tests.sweeps.jobs import TWELVE, fail_for_seed_2


def test_a_killed_sweep_resumes_with_exactly_the_cells_that_have_not_ended(sweep):
    def die_in_the_eighth(seed: int, loss: str) -> None:
        fail_for_seed_2(seed, loss)
        if (seed, loss) == (4, "SoftInfoNCE"):
            os.kill(os.getpid(), signal.SIGKILL)

    sweep.behave = die_in_the_eighth
    process = multiprocessing.get_context("fork").Process(target=sweep.type, args=TWELVE)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    began = sweep.executed()
    assert len(began) == 8
    assert sorted(sweep.states().values()) == ["failed"] * 2 + ["finished"] * 5 + ["running"]
    kept = sweep.files("finished", "failed")

    sweep.behave = fail_for_seed_2
    result = sweep.type(*TWELVE)
    again = sweep.executed()
    assert len(again) == 5
    assert set(again) & set(began) == {began[-1]}
    assert len(set(began) | set(again)) == 12
    assert kept.items() <= sweep.files("finished", "failed").items()
    states = list(sweep.states().values())
    assert sorted(states) == ["failed"] * 3 + ["finished"] * 9
    [replaced] = sweep.root.glob("*/replaced/*/status.json")
    assert json.loads(replaced.read_text())["was"] == "unfinished"
    assert result.status == 2
    assert result.output.count("no seed 2") == 3
    assert "9 of 12 cells finished" in result.output


def test_a_failed_cell_runs_again_only_when_asked(sweep):
    sweep.behave = fail_for_seed_2
    sweep.type(*TWELVE)
    sweep.executed()
    kept = sweep.files("finished")
    result = sweep.type(*TWELVE)
    assert sweep.executed() == []
    assert result.status == 2
    assert "nothing to run" in result.output
    assert "sweep.rerun=failed" in result.output
    sweep.behave = lambda seed, loss: None
    result = sweep.type(*TWELVE, "sweep.rerun=failed")
    assert len(sweep.executed()) == 3
    assert result.status == 0
    assert kept.items() <= sweep.files("finished").items()


def test_a_finished_sweep_neither_composes_its_jobs_nor_touches_them(sweep, monkeypatch):
    assert sweep.type(*TWELVE).status == 0
    assert len(sweep.executed()) == 12
    kept = sweep.files("finished")

    def refuse(*args, **kwargs):
        raise AssertionError("takes a minute for hundreds of jobs")

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", refuse)
    result = sweep.type(*TWELVE)
    assert result.status == 0
    assert sweep.executed() == []
    assert sweep.files("finished") == kept
    assert "nothing to run: 12 of 12 cells finished" in result.output


def test_a_finished_sweep_imports_no_heavy_package(sweep):
    command = ("-m", f"hydra.sweeper.root={sweep.root}", "seed=1,2")
    sweep.type("seed=1,2")
    code = f"""
import runpy, sys
sys.argv = ["train", *{command!r}]
try:
    runpy.run_module("src.train", run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
print(*sorted({{"torch", "lightning", "transformers", "wandb", "scipy", "ray", "optuna"}} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "nothing to run: 2 of 2 cells finished" in ended.stdout
    assert ended.stdout.splitlines()[-1] == ""


def test_rerunning_all_keeps_the_earlier_results_and_hides_them_from_reports(sweep):
    sweep.type("seed=1,2")
    first = {path.stat().st_ino for path in sweep.root.glob("*/*/metrics.json")}
    assert sweep.type("seed=1,2", "sweep.rerun=all").status == 0
    assert len(sweep.executed()) == 4
    assert {path.stat().st_ino for path in sweep.root.glob("*/replaced/*/metrics.json")} == first
    for folder in sweep.root.glob("*/replaced/*"):
        (folder / "checkpoints").mkdir()
        runs, _ = find_runs([folder])
        assert not runs


def test_a_bug_in_one_job_is_reported_and_the_other_jobs_run(sweep):
    def broken(seed: int, loss: str) -> None:
        if seed == 2:
            raise ZeroDivisionError("ours")

    sweep.behave = broken
    result = sweep.type("seed=1,2,3")
    assert result.status == 2
    assert sorted(sweep.states().values()) == ["failed", "finished", "finished"]
    assert "ZeroDivisionError: ours" in result.output
    [log] = sweep.root.glob("*/seed2_*/train.log")
    assert "in broken" in log.read_text()  # where it happened


def test_ctrl_c_ends_the_sweep_and_keeps_what_was_finished(sweep):
    def interrupt(seed: int, loss: str) -> None:
        if seed == 3:
            raise KeyboardInterrupt

    sweep.behave = interrupt
    result = sweep.type("seed=1,2,3,4")
    assert result.status == 130
    assert "2 of 4 cells finished, 1 unfinished, 1 missing" in result.output
    assert len(sweep.executed()) == 3
    sweep.behave = lambda seed, loss: None
    assert sweep.type("seed=1,2,3,4").status == 0
    assert [name[:5] for name in sweep.executed()] == ["seed3", "seed4"]


def test_a_sweep_that_another_process_runs_is_refused(sweep, monkeypatch):
    sweep.type("seed=1,2")
    sweep.executed()
    monkeypatch.setattr("src.sweeps.sweeper.PATIENCE", 0.1)
    [folder] = sweep.root.iterdir()
    with FileLock(folder / ".lock"):
        result = sweep.type("seed=1,2,3")
    assert result.status == 2
    assert result.errors.startswith("error: another process is at work in")
    assert sweep.executed() == []


def test_another_process_of_the_same_job_sees_the_same_cells_and_writes_nothing(sweep, monkeypatch):
    sweep.behave = fail_for_seed_2
    sweep.type("seed=1,2,3")
    sweep.executed()
    for path in sweep.root.glob("*/seed3*/status.json"):  # the first process has begun it
        path.write_text('{"status": "running"}')
    before = {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")}
    monkeypatch.setattr("src.runtime.launch.process_rank", lambda: 1)
    monkeypatch.setattr(
        "src.runtime.launch.silence_secondary_rank", lambda: [f"hydra.sweep.dir={sweep.log.parent / 'nowhere'}"]
    )
    sweep.type("seed=1,2,3")
    assert [name[:5] for name in sweep.executed()] == ["seed3"]
    assert {path: path.stat().st_mtime_ns for path in sweep.root.rglob("*")} == before


def test_a_directory_that_was_asked_for_is_the_sweeps(sweep, tmp_path):
    assert sweep.type("seed=1,2", f"hydra.sweep.dir={tmp_path / 'mine'}").status == 0
    assert len(list((tmp_path / "mine").glob("*/status.json"))) == 2
    assert not sweep.root.exists()


@pytest.mark.parametrize("word", ["fail", "null"])
def test_an_unknown_value_of_rerun_is_refused_before_any_job_runs(sweep, word):
    result = sweep.type("seed=1,2", f"sweep.rerun={word}")
    assert result.status == 2
    assert "expected missing, failed, all" in result.errors
    assert sweep.executed() == []


def test_an_invalid_value_in_any_cell_is_refused_before_any_job_runs(sweep):
    result = sweep.type("data.batch_size=16,32,many")
    assert result.status == 2
    assert "data.batch_size: expected a whole number of 2 or more, found 'many' (in the cell" in result.errors
    assert sweep.executed() == []


def test_a_grid_without_m_is_refused(tmp_path):
    result = run_command("train", tmp_path, "sweep=losses_by_estimators", "logger=csv")
    assert result.status == 2
    assert "add -m" in result.errors


def test_a_cell_that_a_worker_still_runs_is_not_started_again(sweep):
    sweep.type("seed=1,2")
    sweep.executed()
    [folder] = sweep.root.glob("*/seed2_*")
    (folder / "status.json").write_text('{"status": "running"}')
    with FileLock(folder / ".lock"):
        result = sweep.type("seed=1,2")
    assert sweep.executed() == []
    assert result.status == 2
    assert "1 running" in result.output
    assert sweep.type("seed=1,2").status == 0
    assert len(sweep.executed()) == 1


def test_a_job_that_another_process_has_finished_meanwhile_is_not_run(sweep):
    def finish_the_next(seed: int, loss: str) -> None:
        next_one = sweep.root / "runs" / next(name for name in planned if name.startswith(f"seed{seed + 1}_"))
        next_one.mkdir()
        (next_one / "status.json").write_text('{"status": "finished"}')

    sweep.type("seed=1,2")
    planned = {path.parent.name for path in sweep.root.glob("runs/*/status.json")}
    (sweep.root / "runs").rename(sweep.root.parent / "before")
    sweep.executed()
    sweep.behave = finish_the_next
    result = sweep.type("seed=1,2")
    assert [name[:5] for name in sweep.executed()] == ["seed1"]
    assert "has finished" in result.errors
