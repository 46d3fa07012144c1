"""MRR, recall, NDCG and their interval: hand-computed values and degenerate lists."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from src.metrics import retrieval
from src.metrics.retrieval import bootstrap_mean, summarize
from src.utils.errors import InputError


def test_metrics_equal_the_hand_computed_ones():
    found = summarize([1.0, 2.0, 5.0, 10.0, 2000.0])
    assert set(found) == {"mrr", "mrr_low", "mrr_high", "recall@1", "recall@5", "recall@10", "ndcg@10", "queries"}
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 5 + 1 / 10 + 1 / 2000) / 5)
    assert (found["recall@1"], found["recall@5"], found["recall@10"], found["queries"]) == (0.2, 0.6, 0.8, 5)
    assert found["ndcg@10"] == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6) + 1 / math.log2(11)) / 5)


def test_a_tie_at_the_top_is_no_hit_at_one():
    found = summarize([1.5])
    assert (found["recall@1"], found["recall@5"]) == (0.0, 1.0)
    assert found["mrr"] == pytest.approx(2 / 3)
    assert summarize([10.5])["recall@10"] == summarize([10.5])["ndcg@10"] == 0.0


def test_a_rank_beyond_a_thousand_counts():
    assert summarize([4000.0])["mrr"] == 1 / 4000


@pytest.mark.parametrize("ranks", [[7.0], [3.0, 3.0, 3.0], [1.0, 2.0]])
def test_a_degenerate_list_has_an_interval(ranks):
    found = summarize(ranks)
    assert found["mrr_low"] <= found["mrr"] <= found["mrr_high"]
    if len(set(ranks)) == 1:
        assert found["mrr_low"] == pytest.approx(found["mrr_high"])


def test_the_interval_is_close_to_the_normal_approximation():
    ranks = np.random.default_rng(0).integers(1, 100, 5003)
    reciprocal = 1 / ranks
    margin = 1.96 * reciprocal.std() / math.sqrt(len(ranks))
    found = summarize(ranks)
    assert found["mrr_low"] == pytest.approx(reciprocal.mean() - margin, abs=0.05 * margin)
    assert found["mrr_high"] == pytest.approx(reciprocal.mean() + margin, abs=0.05 * margin)


def test_equal_runs_have_an_interval_of_zero_width():
    assert bootstrap_mean(np.zeros(5)) == (0.0, 0.0)


def test_two_summaries_of_the_same_ranks_are_equal():
    ranks = torch.arange(1, 101).double()
    assert summarize(ranks) == summarize(ranks.tolist())


def test_resampling_holds_one_batch_at_a_time(monkeypatch):
    batches = []

    def spy(*args, batch, **kwargs):
        batches.append(batch)
        return bootstrap(*args, batch=batch, **kwargs)

    bootstrap = retrieval.bootstrap
    monkeypatch.setattr(retrieval, "bootstrap", spy)
    summarize(np.arange(1, 5004))
    assert batches[0] * 5003 <= retrieval.BATCH_ENTRIES


def test_more_queries_than_a_batch_holds_are_summarised(monkeypatch):
    monkeypatch.setattr(retrieval, "BATCH_ENTRIES", 2)
    assert summarize([1.0, 2.0, 3.0])["queries"] == 3


@pytest.mark.parametrize("ranks", [[], [0.5], [1.0, float("nan")], [[1.0], [2.0]]])
def test_ranks_that_mean_nothing_are_refused(ranks):
    with pytest.raises(InputError, match="expected a list of ranks of 1 or more"):
        summarize(ranks)
