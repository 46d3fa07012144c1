"""NDCG under graded relevance, by hand and against a slow loop over ranked lists, as the challenge has them."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from src.metrics.retrieval import ndcg, ranks_within, summarize_graded
from src.utils.errors import InputError


def test_gains_and_discounts_are_those_of_the_challenge():
    # gains 7, 0 and 1 at ranks 2, 1 and 5; the best order has them at 1, 3 and 2
    expected = (7 / math.log2(3) + 1 / math.log2(6)) / (7 / math.log2(2) + 1 / math.log2(3))
    assert ndcg([3, 0, 1], [2, 1, 5]) == pytest.approx(expected)
    assert ndcg([3, 0, 1], [1, 3, 2]) == 1
    assert ndcg([2], [3]) == pytest.approx(1 / 2)
    assert ndcg([1.5], [1]) == 1  # averaged annotations


def test_a_query_without_a_relevant_code_is_left_out():
    assert ndcg([0, 0], [1, 2]) is None
    summary = summarize_graded([None, 0.5, 1.0])
    assert (summary["ndcg"], summary["queries"]) == (0.75, 2)
    assert 0.5 <= summary["ndcg_low"] <= 0.75 <= summary["ndcg_high"] <= 1
    with pytest.raises(InputError, match="expected a query with a code of relevance above 0"):
        summarize_graded([None])


def test_ties_share_their_mean_rank():
    assert ranks_within([0.5, 0.9, 0.5, 0.1]).tolist() == [2.5, 1, 2.5, 4]
    assert ranks_within([]).tolist() == []


def test_ranks_within_and_among_all_codes_equal_a_walk_down_the_ranked_list():
    rng = random.Random(3)
    for _ in range(23):
        scores = rng.sample(range(1000), 37)
        annotated = {code: rng.choice([0, 0, 1, 2, 3]) for code in rng.sample(range(37), 7)} | {rng.randrange(37): 3}
        ranked = sorted(range(37), key=lambda code: -scores[code])
        best = sum((2**r - 1) / math.log2(i + 2) for i, r in enumerate(sorted(annotated.values(), reverse=True)))
        for ignore in (True, False):
            rank, gained = 1, 0.0
            for code in ranked:
                if code in annotated:
                    gained += (2 ** annotated[code] - 1) / math.log2(rank + 1)
                    rank += 1
                elif not ignore:
                    rank += 1
            own = np.array([scores[code] for code in annotated])
            ranks = ranks_within(own) if ignore else [1 + ranked.index(code) for code in annotated]
            assert ndcg(list(annotated.values()), ranks) == pytest.approx(gained / best)


def test_numbers_that_are_no_ranks_or_relevances_are_refused():
    for relevance, ranks in (([1, 2], [1]), ([-1], [1]), ([1], [0]), ([1], [float("nan")])):
        with pytest.raises(InputError, match="graded relevance: expected as many ranks"):
            ndcg(relevance, ranks)
