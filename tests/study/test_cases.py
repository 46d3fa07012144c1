"""The examples of a notebook are those that their headings promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from src.analysis.estimators.batches import Rows
from src.analysis.estimators.false_negatives import FalseNegatives
from src.corpora.base import Pair
from src.study.cases import cases, rows_of, weights_of

# Items 0 and 1, and 2 and 3, are known to answer each other; the weight of row i and column j is W[i, j].
KNOWN = csr_array(np.array([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool))
W = np.array(
    [
        [1.0, 0.2, 0.9, 0.8, 0.3],
        [0.4, 1.0, 0.9, 0.9, 0.9],
        [0.9, 0.9, 1.0, 0.7, 0.1],
    ]
)
BATCHES = [Rows(np.array([0, 1, 2]), np.arange(5))]


def similarity(rows, columns):
    return 10 * (1 - W[rows][:, columns])


def weigh(similarity_BC, own_BC):
    return np.where(own_BC, 1.0, 1 - similarity_BC / 10)


def found(number):
    made = cases(BATCHES, FalseNegatives({"some": KNOWN}, KNOWN), similarity, weigh, number)
    return {kind: [(e.row, e.column, round(e.weight, 9)) for e in examples] for kind, examples in made.items()}


def test_cases_are_detected_missed_or_mistaken_by_their_weights():
    assert found(1) == {"detected": [(0, 1, 0.2)], "missed": [(2, 3, 0.7)], "mistaken": [(2, 4, 0.1)]}


def test_an_item_is_shown_at_most_once_per_kind():
    # (1, 0) repeats the items of (0, 1); (0, 4) those of (2, 4)
    assert found(2) == {
        "detected": [(0, 1, 0.2), (2, 3, 0.7)],
        "missed": [(2, 3, 0.7), (1, 0, 0.4)],
        "mistaken": [(2, 4, 0.1), (0, 3, 0.8)],
    }


def test_own_columns_are_left_out_of_the_weights():
    known_N, ordinary_N = weights_of(BATCHES, FalseNegatives({"some": KNOWN}, KNOWN), similarity, weigh)
    assert sorted(known_N) == pytest.approx([0.2, 0.4, 0.7])
    assert sorted(ordinary_N) == pytest.approx([0.1, 0.3, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])


def test_the_texts_are_those_of_the_items():
    pairs = [Pair(f"query {i}", "code", f"q{i}", "python") for i in range(5)]
    made = cases(BATCHES, FalseNegatives({"some": KNOWN}, KNOWN), similarity, weigh, 1)
    assert rows_of(made["missed"], pairs) == [("query 2", "query 3", pytest.approx(3.0), pytest.approx(0.7))]
