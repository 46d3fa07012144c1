"""What of a folder is a run."""

from __future__ import annotations

import json

import pytest

from src.report.runs import find_runs
from tests.report.runs import make_run
from tests.support.commands import direct

main = direct("report")

RANKS = {"a": 1, "b": 2, "c": 4}


def test_a_failed_run_is_left_out_and_named(root, capsys):
    make_run(root, "infonce", 9, RANKS, status={"status": "failed", "error": "InputError: no such corpus"})
    make_run(root, "infonce", 8, RANKS, status="running")
    runs, left_out = find_runs([root])
    assert sorted(run.seed for run in runs if run.name == "infonce") == [1, 2]
    assert [(str(run.path), run.why) for run in left_out] == [
        *(("infonce-8", "running"), ("infonce-9", "failed: InputError: no such corpus"))
    ]
    assert main([str(root)]) == 0
    assert "infonce-9 (failed: InputError: no such corpus)" in capsys.readouterr().out
    page = (root / "report" / "report.html").read_text()
    assert "infonce-9" in page
    assert "no such corpus" in page


def test_a_failed_evaluation_is_not_named_as_a_failed_run(root):
    folder = root / "eval"
    folder.mkdir()
    (folder / "status.json").write_text(json.dumps({"status": "failed", "error": "x"}))
    (folder / "config.yaml").write_text("run: somewhere\n")
    assert find_runs([root])[1] == []
    (folder / "config.yaml").unlink()  # it got too short a way to tell
    assert len(find_runs([root])[1]) == 1


def test_an_attempt_that_a_sweep_has_replaced_is_not_named(root):
    make_run(root / "replaced", "infonce", 1, RANKS, status={"status": "replaced", "was": "failed"})
    runs, left_out = find_runs([root])
    assert (len(runs), left_out) == (4, [])


def test_a_run_below_two_paths_counts_once(root):
    assert len(find_runs([root, root / "infonce-1", root])[0]) == 4


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "metrics.json", "test_ranks.csv"])
@pytest.mark.parametrize("text", [None, "", "[1, 2"])
def test_a_damaged_run_is_named_in_one_line(root, name, text, capsys):
    file = root / "infonce-1" / name
    file.unlink() if text is None else file.write_text(text)
    assert main([str(root)]) == 2
    error = capsys.readouterr().err
    assert "infonce-1 is not a complete run directory" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["status.json", "metrics.csv"])
def test_a_damaged_status_or_log_is_named_in_one_line(root, name, capsys):
    (root / "infonce-1" / name).write_text("epoch,step,val/mrr\n1,x,0.5\n")
    assert main([str(root)]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


def test_a_run_without_a_log_of_epochs_is_accepted(tmp_path):
    make_run(tmp_path, "infonce", 1, RANKS, history="")
    (run,) = find_runs([tmp_path])[0]
    assert run.history == {}
    assert main([str(tmp_path)]) == 0


def test_a_history_has_the_epoch_and_the_step_of_every_value(root):
    epoch_E, step_E, mrr_E = find_runs([root / "infonce-1"])[0][0].history["val/mrr"]
    assert (epoch_E.tolist(), step_E.tolist(), mrr_E.tolist()) == ([0, 1], [11, 23], [0.25, 0.5])
