from __future__ import annotations

import pytest

from tests.sweeps.jobs import Sweep


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    sweep = Sweep(tmp_path)
    monkeypatch.setattr("src.train.main", sweep.job)
    return sweep
