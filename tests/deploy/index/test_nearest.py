"""The best by half precision and then exactly, held against sorting all exact scores."""

from __future__ import annotations

import numpy as np
import pytest

from src.deploy.index.nearest import best, rescored

SIZES = (13, 1, 29)


@pytest.fixture(params=[1.0, 1e4], ids=["unit", "large"])
def vectors(request):
    rng = np.random.default_rng(0)
    vectors_MD = rng.standard_normal((sum(SIZES), 7)).astype(np.float32)
    vectors_MD /= np.linalg.norm(vectors_MD, axis=1, keepdims=True) / request.param
    vectors_MD = vectors_MD.astype(np.float16)
    vectors_MD[20] = vectors_MD[5]  # a tie
    return np.split(vectors_MD, np.cumsum(SIZES)[:-1])


@pytest.mark.parametrize("k", [1, 5, 43, 100])
@pytest.mark.parametrize("filtered", [False, True])
def test_half_precision_and_segments_do_not_change_the_order(vectors, k, filtered) -> None:
    whole_MD = np.concatenate(vectors).astype(np.float64)
    allowed_M = np.arange(len(whole_MD)) % 3 != 1 if filtered else None
    for seed in range(11):
        query_D = np.random.default_rng(seed).standard_normal(7).astype(np.float32) * 100
        scores_M = whole_MD @ query_D.astype(np.float64)
        if filtered:
            scores_M[~allowed_M] = -np.inf
        order = np.lexsort((np.arange(len(scores_M)), -scores_M))[: min(k, int(np.isfinite(scores_M).sum()))]
        items, scores = best(query_D, vectors, k, allowed_M)
        assert items.tolist() == order.tolist()
        np.testing.assert_allclose(scores, scores_M[order], rtol=1e-12)


def test_an_empty_index_or_filter_gives_no_items(vectors) -> None:
    query_D = np.ones(7, np.float32)
    assert len(best(query_D, [], 3)[0]) == 0
    assert len(best(query_D, vectors, 3, np.zeros(sum(SIZES), bool))[0]) == 0


def test_rescoring_finds_every_item_in_its_segment(vectors) -> None:
    items, scores = rescored(vectors[1][0].astype(np.float32), vectors, np.array([42, 13, 0]), 2)
    assert items[0] == 13
    assert scores[0] == pytest.approx(float((vectors[1][0].astype(np.float64) ** 2).sum()))
