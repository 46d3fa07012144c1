"""NDCG under graded relevance, as the CodeSearchNet challenge computes it.

    DCG = sum over annotated codes of (2^relevance - 1) / log2(1 + rank),  NDCG = DCG / that of the best order

in two ways: ranks *within* the annotated codes alone, or among *all* candidates (Husain et al. 2019, arXiv 1909.09436;
relevanceeval.py of its repository: `NDCG` and `NDCG (full ranking)`). Departures: no list is cut, where the challenge
reads the first 300 candidates; of equal scores every code has the mean of their ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from src.metrics.retrieval import bootstrap_mean
from src.utils.errors import InputError


def ndcg(relevance: Sequence[float], ranks: Sequence[float]) -> float | None:
    """Of one query: relevance (from 0) and rank (from 1) of each annotated code; None where nothing is relevant."""
    gains, ranks = 2.0 ** np.asarray(relevance, float) - 1, np.asarray(ranks, float)
    if gains.shape != ranks.shape or (gains < 0).any() or not (ranks >= 1).all():
        raise InputError(
            f"graded relevance: expected as many ranks from 1 as relevances from 0, found {len(ranks)} and {len(gains)}"
        )
    best = (np.sort(gains)[::-1] / np.log2(1 + np.arange(1, len(gains) + 1))).sum()
    return float((gains / np.log2(1 + ranks)).sum() / best) if best > 0 else None


def ranks_within(scores: Sequence[float]) -> np.ndarray:
    """The rank of each score among these: 1 + how many are higher + half of the others that are equal."""
    scores = np.asarray(scores, float)
    higher = (scores[None, :] > scores[:, None]).sum(axis=1)
    equal = (scores[None, :] == scores[:, None]).sum(axis=1) - 1
    return 1 + higher + equal / 2


def summarize_graded(values: Sequence[float | None]) -> Mapping[str, float]:
    """Mean NDCG of the queries that have a relevant code, its 95% interval, and how many they are.

    Raises InputError where no query has one.
    """
    known = np.array([value for value in values if value is not None])
    if not len(known):
        raise InputError("graded relevance: expected a query with a code of relevance above 0, found none")
    low, high = bootstrap_mean(known)
    return {"ndcg": float(known.mean()), "ndcg_low": low, "ndcg_high": high, "queries": len(known)}
