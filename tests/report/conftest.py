from __future__ import annotations

import pytest

from tests.report.runs import make_run


@pytest.fixture
def root(tmp_path):
    """Two losses with two seeds each, one of which they share."""
    make_run(tmp_path, "infonce", 1, {"a": 1, "b": 2, "c": 4})
    make_run(tmp_path, "infonce", 2, {"a": 2, "b": 2, "c": 4})
    make_run(tmp_path, "soft_infonce", 2, {"c": 2, "b": 1, "a": 2})  # another order of queries
    make_run(tmp_path, "soft_infonce", 3, {"a": 1, "b": 1, "c": 1})
    return tmp_path
