"""Matrices that are worked out some rows at a time."""

from __future__ import annotations

import pytest
import torch

from src.utils.lazy_matrix import SMALL, LazyMatrix, matrix, some_rows

WHOLE_BC = torch.arange(21).view(7, 3)


@pytest.mark.parametrize(("small", "expected"), [(21, torch.Tensor), (20, LazyMatrix)])
def test_a_large_matrix_is_lazy_and_a_small_one_is_made_at_once(monkeypatch, small, expected):
    monkeypatch.setattr("src.utils.lazy_matrix.SMALL", small)
    made = matrix(WHOLE_BC.__getitem__, (7, 3))
    assert type(made) is expected
    assert made.shape == (7, 3)
    assert torch.equal(made[2:5], WHOLE_BC[2:5])


@pytest.mark.parametrize(("small", "rows"), [(SMALL, 7), (21, 7), (20, 6), (5, 1), (2, 1)])
def test_a_log_sees_the_first_rows_up_to_the_limit_and_at_least_one(monkeypatch, small, rows):
    monkeypatch.setattr("src.utils.lazy_matrix.SMALL", small)
    for held in (WHOLE_BC, LazyMatrix(WHOLE_BC.__getitem__, (7, 3))):
        assert torch.equal(some_rows(held), WHOLE_BC[:rows])
