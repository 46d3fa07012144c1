"""Two rankings made one: reciprocal rank fusion.

Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CONSTANT = 60  # the paper's
DEPTH = 1000  # of each ranking; what neither has among its first is not found


def reciprocal_ranks(rankings: Sequence[np.ndarray], constant: int = CONSTANT) -> tuple[np.ndarray, np.ndarray]:
    """Items and their scores, sum over rankings of 1 / (constant + rank), the best first, the lowest item among equals.

    Args:
        rankings: items of each, the best first, no item twice; one that a ranking lacks gets nothing from it.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking.tolist(), 1):
            scores[item] = scores.get(item, 0.0) + 1 / (constant + rank)
    items = sorted(scores, key=lambda item: (-scores[item], item))
    return np.array(items, np.int64), np.array([scores[item] for item in items])
