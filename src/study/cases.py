"""Negatives of real batches that an estimator and a loss judge well, and those that they judge badly.

S items (training pairs that are looked at), B rows, C columns of a batch.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from src.analysis.estimators.batches import Rows
from src.analysis.estimators.false_negatives import FalseNegatives
from src.analysis.estimators.measure import Example, Weigh, distinct, weighed_batches
from src.corpora.base import Pair
from src.data.samplers import Similarity

SIGNS = {"detected": 1, "missed": -1, "mistaken": 1}  # lowest weights first, or highest


def cases(
    batches: Iterable[Rows], known: FalseNegatives, similarity: Similarity, weigh: Weigh, number: int = 3
) -> dict[str, list[Example]]:
    """Up to `number` negatives of each kind, no item in two of a kind:

    `detected`: known false negatives of the lowest weights; `missed`: known ones of the highest; `mistaken`: ordinary
    negatives of the lowest weights. Of equal weights the more similar first, for `missed` the less similar.
    """
    found: dict[str, list[Example]] = {kind: [] for kind in SIGNS}
    for weighed in weighed_batches(batches, similarity, weigh):
        known_BC, ordinary_BC = _masks(weighed.batch, known)
        for kind, sign in SIGNS.items():
            mask_BC = ordinary_BC if kind == "mistaken" else known_BC
            found[kind] += weighed.examples(mask_BC, number, sign)
    return {kind: distinct(some, number, SIGNS[kind]) for kind, some in found.items()}


def weights_of(
    batches: Iterable[Rows], known: FalseNegatives, similarity: Similarity, weigh: Weigh
) -> tuple[np.ndarray, np.ndarray]:
    """Weights of all known false negatives, and of all ordinary negatives."""
    of_known, of_ordinary = [], []
    for weighed in weighed_batches(batches, similarity, weigh):
        known_BC, ordinary_BC = _masks(weighed.batch, known)
        of_known.append(weighed.weights_BC[known_BC])
        of_ordinary.append(weighed.weights_BC[ordinary_BC])
    return np.concatenate(of_known), np.concatenate(of_ordinary)


def rows_of(examples: Sequence[Example], pairs: Sequence[Pair]) -> list[tuple[str, str, float, float]]:
    """Of each example: query, the negative's query, similarity, weight."""
    return [(pairs[e.row].query, pairs[e.column].query, e.similarity, e.weight) for e in examples]


def _masks(batch: Rows, known: FalseNegatives) -> tuple[np.ndarray, np.ndarray]:
    """bool (B, C): known false negatives, and the negatives about which nothing is known."""
    known_BC = batch.among(known.any_SS) & ~batch.own_BC
    return known_BC, ~known_BC & ~batch.own_BC
