"""Ranks the slow way."""

from __future__ import annotations

from collections.abc import Sequence


def naive_ranks(scores: Sequence[Sequence[float]], positives: Sequence[int]) -> list[float]:
    """One comparison at a time: 1 + higher + half of the other ties."""
    ranks = []
    for row, positive in zip(scores, positives):
        rank = 1.0
        for column, score in enumerate(row):
            if column != positive:
                rank += 1.0 if score > row[positive] else 0.5 if score == row[positive] else 0.0
        ranks.append(rank)
    return ranks
