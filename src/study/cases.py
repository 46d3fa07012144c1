"""Negatives of real batches as an estimator and a loss see them: the good cases and the bad ones.

S items (training pairs that are looked at), B rows, C columns of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from src.analysis.estimators.batches import Rows
from src.analysis.estimators.known import Known
from src.analysis.estimators.measure import Example, Weigh
from src.corpora.base import Pair
from src.data.samplers import Similarity

Cases = dict[str, list[Example]]


def cases(batches: Iterable[Rows], known: Known, similarity: Similarity, weigh: Weigh, number: int = 3) -> Cases:
    """Up to `number` negatives of each kind, no item in two of a kind:

    `seen`: known false negatives of the lowest weights; `missed`: known ones of the highest; `mistaken`: negatives of
    which nothing is known, of the lowest weights. Of equal weights the more similar first, the less for `missed`.
    """
    found: Cases = {"seen": [], "missed": [], "mistaken": []}
    for batch in batches:
        similarity_BC = similarity(batch.row_B, batch.column_C)
        weights_BC = weigh(similarity_BC, batch.own_BC)
        known_BC = batch.among(known.any_SS) & ~batch.own_BC
        ordinary_BC = ~known_BC & ~batch.own_BC
        for kind, mask_BC in (("seen", known_BC), ("missed", known_BC), ("mistaken", ordinary_BC)):
            found[kind] += _examples(batch, mask_BC, similarity_BC, weights_BC)
    sign = {"seen": 1, "missed": -1, "mistaken": 1}
    return {
        kind: _distinct(sorted(some, key=lambda e: (sign[kind] * e.weight, -sign[kind] * e.similarity)), number)
        for kind, some in found.items()
    }


def weights_of(
    batches: Iterable[Rows], known: Known, similarity: Similarity, weigh: Weigh
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all known false negatives, and of all negatives of which nothing is known."""
    of_known, of_ordinary = [], []
    for batch in batches:
        weights_BC = weigh(similarity(batch.row_B, batch.column_C), batch.own_BC)
        known_BC = batch.among(known.any_SS) & ~batch.own_BC
        of_known.append(weights_BC[known_BC])
        of_ordinary.append(weights_BC[~known_BC & ~batch.own_BC])
    return np.concatenate(of_known), np.concatenate(of_ordinary)


def rows_of(examples: Sequence[Example], pairs: Sequence[Pair]) -> list[tuple[str, str, float, float]]:
    """Of each example: query, the negative's query, similarity, weight."""
    return [(pairs[e.row].query, pairs[e.column].query, e.similarity, e.weight) for e in examples]


def _examples(batch: Rows, mask_BC: np.ndarray, similarity_BC: np.ndarray, weights_BC: np.ndarray) -> list[Example]:
    return [
        Example(int(batch.row_B[i]), int(batch.column_C[j]), float(similarity_BC[i, j]), float(weights_BC[i, j]))
        for i, j in zip(*np.nonzero(mask_BC))
    ]


def _distinct(examples: Sequence[Example], number: int) -> list[Example]:
    kept: list[Example] = []
    met: set[int] = set()
    for example in examples:
        if len(kept) < number and met.isdisjoint((example.row, example.column)):
            kept.append(example)
            met |= {example.row, example.column}
    return kept
