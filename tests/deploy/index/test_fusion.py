"""Reciprocal rank fusion against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from src.deploy.index.searcher import reciprocal_ranks


def test_ranks_are_fused_as_the_paper_says() -> None:
    items, scores = reciprocal_ranks([np.array([7, 3, 5]), np.array([3, 9])])
    assert items.tolist() == [3, 7, 9, 5]
    assert scores.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])


def test_equal_scores_are_in_the_order_of_the_items() -> None:
    assert reciprocal_ranks([np.array([8, 2]), np.array([2, 8])])[0].tolist() == [2, 8]
    assert len(reciprocal_ranks([np.empty(0, np.int64)])[0]) == 0
