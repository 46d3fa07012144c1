"""Reciprocal rank fusion of several rankings.

Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CONSTANT = 60  # the paper's
DEPTH = 1000  # of each ranking; items beyond it in both are not found


def reciprocal_ranks(rankings: Sequence[np.ndarray], constant: int = CONSTANT) -> tuple[np.ndarray, np.ndarray]:
    """Items and their scores, the sum over rankings of 1 / (constant + rank), best first; of equals the lowest item.

    Args:
        rankings: items of each, best first and without repeats; a ranking adds nothing to an item that it lacks.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking.tolist(), 1):
            scores[item] = scores.get(item, 0.0) + 1 / (constant + rank)
    items = sorted(scores, key=lambda item: (-scores[item], item))
    return np.array(items, np.int64), np.array([scores[item] for item in items])
