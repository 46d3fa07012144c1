"""The numbers of hand-made rows are those that a hand computes."""

from __future__ import annotations

import numpy as np
import pytest

from src.analysis.estimators.batches import Rows, planted_batches, training_batches
from src.analysis.estimators.false_negatives import known_false_negatives
from src.analysis.estimators.measure import (
    agreement,
    base_rates,
    detection,
    on_batches,
    row_auc,
    row_correlation,
    row_precision,
    top_shares,
    weigh_with,
)
from src.corpora.base import Pair
from src.data.samplers import RandomBatches
from src.losses.soft_infonce import SoftInfoNCE

T, F = True, False
NAN = float("nan")
WEIGH = weigh_with(SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=1.0))


@pytest.mark.parametrize(
    ("values", "known", "ordinary", "auc", "precision"),
    [
        ([9, 3, 2, 1], [F, T, F, F], [F, F, T, T], 1.0, 1.0),  # the first column is left out
        ([9, 3, 2, 1], [F, F, T, F], [F, T, F, T], 0.5, 0.0),
        ([9, 2, 2, 2], [F, T, F, F], [F, F, T, T], 0.5, 1 / 3),  # all alike
        ([9, 5, 5, 1], [F, T, F, F], [F, F, T, T], 0.75, 0.5),  # a tie counts half
        ([4, 5, 1, 3], [T, F, T, F], [F, T, F, T], 0.25, 0.0),  # two known: 4 beats 3 only, 1 beats nothing
        ([4, 5, 1, 3], [T, F, T, F], [F, F, F, F], NAN, NAN),
        ([4, 5, 1, 3], [F, F, F, F], [T, T, T, T], NAN, NAN),
    ],
)
def test_auc_and_precision_match_a_computation_by_hand(values, known, ordinary, auc, precision):
    arrays = [np.array([row, row]) for row in (np.float32(values), known, ordinary)]
    np.testing.assert_allclose(row_auc(*arrays), [auc, auc])
    np.testing.assert_allclose(row_precision(*arrays), [precision, precision])


@pytest.fixture(scope="module")
def known():
    """200 pairs, of which each second one shares its code with the next."""
    texts = [
        (f"w{i}a w{i}b w{i}c".replace("w", chr(97 + i % 26)), f"code {i // 2 if i < 100 else i}") for i in range(200)
    ]
    return known_false_negatives([Pair(q, c, f"q{i}", "python") for i, (q, c) in enumerate(texts)], threshold=1.0)


def spotted(known, similarity):
    batches = planted_batches(known.kinds["same code"], 64, most=1000, seed=1)
    return detection(batches, known, "same code", similarity, WEIGH)


def test_an_oracle_is_perfect(known):
    def similarity(rows, columns):
        return 10 * known.kinds["same code"][rows][:, columns].toarray().astype(np.float32)

    found = spotted(known, similarity)
    assert found["auc"] == found["auc_low"] == found["auc_high"] == found["precision@1"] == found["recall"] == 1
    assert found["weight_known"] == pytest.approx(0.1)
    assert found["false_alarms"] == 0


def test_a_random_similarity_has_an_auc_of_one_half(known):
    rng = np.random.default_rng(2)
    found = spotted(known, lambda rows, columns: rng.random((len(rows), len(columns)), dtype=np.float32))
    assert found["auc_low"] < 0.5 < found["auc_high"]
    assert abs(found["auc"] - 0.5) < 0.07


def test_base_rates_count_the_known_false_negatives_in_batches(known):
    batches = list(training_batches(RandomBatches(), None, 200, 200, number=1, seed=1))
    rates = base_rates(batches, known)
    assert rates["known_per_row/same code"] == rates["rows_with_known"] == 0.5  # 100 of 200 items have one
    assert rates["known_per_row"] == sum(rates[f"known_per_row/{kind}"] for kind in known.kinds)


def test_the_lowest_weights_are_those_of_the_most_similar():
    def similarity(rows, columns):
        return -np.abs(rows[:, None] - columns[None, :]).astype(np.float32)

    items = np.arange(17)
    seen = on_batches([Rows(items, items)], similarity, WEIGH, floor=0.1)
    assert len(seen.weights_N) == len(seen.similarities_N) == 17 * 16
    assert {abs(example.row - example.column) for example in seen.lowest} == {1}
    assert [abs(example.row - example.column) for example in seen.highest] == [16, 14, 12, 10, 8]
    for end in (seen.lowest, seen.highest):  # distinct
        assert len({item for example in end for item in (example.row, example.column)}) == 2 * len(end) == 10
    assert seen.numbers["weight_min"] <= seen.numbers["weight_row_min"] < 1
    assert 1 < seen.numbers["effective"] < 16


def test_opposite_estimators_disagree_and_a_constant_one_agrees_by_chance():
    def up(rows, columns):
        return (np.arange(len(columns)) + np.zeros((len(rows), 1))).astype(np.float32)

    items = np.arange(13)
    flat = lambda rows, columns: np.zeros((len(rows), len(columns)), np.float32)  # noqa: E731
    found = agreement([Rows(items, items)], {"up": up, "down": lambda r, c: -up(r, c), "flat": flat})
    assert found["spearman/up/down"] == pytest.approx(-1)
    assert found["top5_overlap/up/down"] == 0
    assert "spearman/up/flat" not in found
    assert found["top5_overlap/up/flat"] == pytest.approx(5 / 12)  # what chance would share


def test_equal_values_at_the_boundary_share_the_remaining_places():
    np.testing.assert_allclose(top_shares(np.array([[3, 1, 1, 2, 1]]), 3), [[1, 1 / 3, 1 / 3, 1, 1 / 3]])
    np.testing.assert_allclose(row_correlation(np.array([[1.0, 2, 3]]), np.array([[2.0, 4, 6]])), [1])
