"""Known false negatives of hand-made pairs are of the kind that a person would say."""

from __future__ import annotations

import numpy as np
import pytest

from src.analysis.estimators.false_negatives import known_false_negatives
from src.corpora.base import Pair
from src.utils.errors import InputError

LONG = "def read(path): first second third fourth fifth"
TEXTS = [
    ("open a file", "return open(path)"),  # 0
    ("read it from disk", "return open(path)"),  # 1: the code of 0
    ("open a file", "with path as stream: yield stream"),  # 2: the query of 0
    ("Open a FILE", "return open(path)"),  # 3: the code of 0, whose query it has too, but for the case
    ("parse numbers", LONG),  # 4
    ("count words", LONG + " sixth"),  # 5: nearly the code of 4
    ("open a file", "return open(path)"),  # 6: a copy of 0
]
PAIRS = [Pair(query, code, f"q{i}", "python") for i, (query, code) in enumerate(TEXTS)]


def entries(matrix) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in zip(*matrix.nonzero()) if i < j}


def test_every_known_false_negative_is_of_the_right_kind():
    known = known_false_negatives(PAIRS, threshold=0.8)
    assert entries(known.kinds["same code"]) == {(0, 1), (0, 3), (1, 3), (1, 6), (3, 6)}
    assert entries(known.kinds["similar queries"]) == {(0, 2), (2, 3), (2, 6)}
    assert entries(known.kinds["similar codes"]) == {(4, 5)}
    assert [known.pairs(kind) for kind in known.kinds] == [5, 3, 1]
    assert known.anchors("similar codes").tolist() == [4, 5]


def test_a_copy_of_the_pair_is_known_without_being_of_any_kind():
    known = known_false_negatives(PAIRS, threshold=0.8)
    assert known.any_SS[0, 6]
    assert not any(matrix[0, 6] for matrix in known.kinds.values())
    assert known.any_SS.diagonal().sum() == 0


def test_every_kind_is_symmetric():
    known = known_false_negatives(PAIRS, threshold=0.5)
    for matrix in (*known.kinds.values(), known.any_SS):
        assert matrix.dtype == bool
        np.testing.assert_array_equal(matrix.toarray(), matrix.T.toarray())


def test_a_corpus_without_known_false_negatives_is_refused_with_advice():
    with pytest.raises(InputError, match=r"found none at threshold=0.8: lower threshold.*near_duplicate=1"):
        known_false_negatives([PAIRS[0], PAIRS[4]], threshold=0.8)
