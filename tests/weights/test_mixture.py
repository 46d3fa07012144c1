"""The mixture: standardised by hand, convex, blind to the units of its parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.corpora.base import Pair
from src.utils.errors import InputError
from src.weights.base import Estimator
from src.weights.bm25 import BM25Estimator
from src.weights.mixture import MixtureEstimator, own_columns, standardised

PAIRS = [
    Pair(f"open the {noun} file", f"def f{noun}(): pass", noun, "python") for noun in ("a", "b", "red", "blue", "x")
]


class Table(Estimator):
    """Similarities as given."""

    def __init__(self, values) -> None:
        self.values, self.fitted = np.asarray(values, dtype=np.float32), 0

    def fit(self, pairs) -> None:
        self.fitted += 1

    def similarity(self, rows, columns):
        return self.values[np.ix_(rows, columns)]


FIRST = Table([[9, 1, 2, 3], [0, 9, 4, 4], [5, 5, 9, 5], [1, 0, 0, 9]])
SECOND = Table([[1, 10, 0, -10], [3, 0, 1, 2], [0, 2, 8, 4], [6, 6, 6, 6]])
ALL = np.arange(4)


def test_a_standardised_row_equals_the_hand_computed_one():
    made = MixtureEstimator({"one": FIRST}, {"one": 2.0}).similarity(ALL, ALL)
    # Row 0: negatives 1, 2, 3: mean 2, deviation sqrt(2/3); its own 9 is on the same scale.
    np.testing.assert_allclose(made[0], np.array([7, -1, 0, 1]) / np.sqrt(2 / 3), rtol=1e-6)
    # Row 2: three equal negatives: nothing stands out.
    np.testing.assert_array_equal(made[2], [0, 0, 0, 0])


def test_the_shares_are_convex_weights():
    parts = {"one": FIRST, "two": SECOND}
    one, two = (MixtureEstimator(parts, {name: 1}).similarity(ALL, ALL) for name in parts)
    mixed = MixtureEstimator(parts, {"one": 3, "two": 1}, scale=2.0).similarity(ALL, ALL)
    np.testing.assert_allclose(mixed, 2 * (0.75 * one + 0.25 * two), rtol=1e-5, atol=1e-6)


def test_the_unit_of_a_part_does_not_matter():
    parts = {"one": FIRST, "two": SECOND}
    loud = {"one": Table(1000 * FIRST.values + 7), "two": SECOND}
    shares = {"one": 1, "two": 1}
    expected = MixtureEstimator(parts, shares).similarity(ALL, ALL)
    np.testing.assert_allclose(MixtureEstimator(loud, shares).similarity(ALL, ALL), expected, rtol=1e-4, atol=1e-4)


def test_a_row_does_not_depend_on_the_other_rows():
    mixture = MixtureEstimator({"one": FIRST, "two": SECOND}, {"one": 1, "two": 1})
    whole = mixture.similarity(ALL, ALL)
    np.testing.assert_array_equal(mixture.similarity(ALL[1:3], ALL), whole[1:3])


def test_a_row_without_its_own_column_or_with_one_negative_is_finite():
    values = torch.tensor([[3.0, 3.0], [1.0, 2.0]])
    # [3, 3] is flat; [1, 2] lies half a unit to either side of its mean
    assert standardised(values, torch.tensor([-1, -1])).tolist() == [[0, 0], [-1, 1]]
    assert (standardised(values, torch.tensor([0, 1])) == 0).all()


def test_a_rows_own_column_is_found_in_any_order():
    columns = np.array([5, 3, 8, 1, 7])
    assert own_columns(np.array([8, 4, 5, 9, 1]), columns).tolist() == [2, -1, 0, -1, 3]
    assert own_columns(columns, columns).tolist() == [0, 1, 2, 3, 4]


def test_a_standardised_row_equals_the_loop_of_its_definition():
    generator = torch.Generator().manual_seed(3)
    similarity = torch.randn(7, 11, generator=generator, dtype=torch.float64)
    own = torch.tensor([3, -1, 10, 0, 5, -1, 3])
    similarity[range(7), own] += 1e3  # a row's own stands far out, and must leave no trace in the others' deviation
    for row, place, made in zip(similarity, own.tolist(), standardised(similarity, own, times=2.0)):
        others = row if place < 0 else torch.cat([row[:place], row[place + 1 :]])
        torch.testing.assert_close(made, 2 * (row - others.mean()) / others.std(correction=0), rtol=1e-9, atol=1e-9)


def test_a_part_without_a_share_is_not_fitted():
    one, two = Table(FIRST.values), Table(SECOND.values)
    mixture = MixtureEstimator({"one": one, "two": two}, {"one": 1, "two": 0})
    mixture.fit(PAIRS)
    assert (one.fitted, two.fitted) == (1, 0)
    assert list(mixture.components()) == [one]


def test_the_gathered_features_of_all_parts_give_the_same_similarity_on_the_device():
    mixture = MixtureEstimator({"bm25": BM25Estimator(), "one": Table(np.eye(5))}, {"bm25": 1, "one": 1})
    mixture.fit(PAIRS)
    rows = np.array([2, 0, 4])
    gathered = mixture.collate(rows, rows)
    assert set(gathered) == {"bm25", "one", "own"}
    np.testing.assert_array_equal(mixture.similarity_on_device(gathered).numpy(), mixture.similarity(rows, rows))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"bm52": 1}, r"expected parts \(bm25\), found 'bm52'; did you mean 'bm25'"),
        ({"bm25": -1}, "shares.bm25: expected a number of 0 or more, found -1"),
        ({"bm25": "much"}, "found 'much'"),
        ({"bm25": float("nan")}, "found nan"),
        ({"bm25": 0}, "expected one share above 0"),
        ({}, "expected one share above 0"),
    ],
)
def test_meaningless_shares_are_refused(shares, message):
    with pytest.raises(InputError, match=message):
        MixtureEstimator({"bm25": BM25Estimator()}, shares)
