"""Jobs in processes of their own: joblib's, submitit's and ray's are the real ones, and so are their processes."""

from __future__ import annotations

import pytest

from tests.sweeps.jobs import fail_for_seed_2

LAUNCHERS = {
    "processes": "joblib",
    "local": "submitit",
    "ray": "ray",
}


@pytest.fixture(params=list(LAUNCHERS))
def launcher(request, tmp_path):
    """Overrides that choose it."""
    pytest.importorskip(LAUNCHERS[request.param])
    more = [f"hydra.launcher.submitit_folder={tmp_path}/submitit/%j"] if request.param == "local" else []
    return [f"hydra/launcher={request.param}", *more]


@pytest.mark.slow
def test_jobs_in_processes_of_their_own_report_failures_and_run_once(sweep, launcher):
    sweep.behave = fail_for_seed_2
    result = sweep.type("seed=1,2,3", *launcher)
    assert result.status == 2
    assert sorted(sweep.states().values()) == ["failed", "finished", "finished"]
    assert "no seed 2" in result.output
    assert len(sweep.executed()) == 3
    kept = sweep.files("finished", "failed")
    result = sweep.type("seed=1,2,3,4", *launcher)
    assert [name[:5] for name in sweep.executed()] == ["seed4"]
    assert "3 of 4 cells finished (2 of them before), 1 failed" in result.output
    assert kept.items() <= sweep.files("finished", "failed").items()
