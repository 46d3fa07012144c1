"""NDCG under graded relevance, as the CodeSearchNet challenge computes it.

    DCG = sum over annotated codes of (2^relevance - 1) / log2(1 + rank),  NDCG = DCG / that of the best order

computed in two ways: from ranks *within* the annotated codes only, or from ranks among *all* candidates (Husain et al.
2019, arXiv 1909.09436; relevanceeval.py of its repository: `NDCG` and `NDCG (full ranking)`). Departures: all
candidates are ranked, where the challenge reads the first 300; codes with equal scores share the mean of their ranks.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from src.metrics.retrieval import bootstrap_mean
from src.utils.errors import InputError


def ndcg(relevance: Sequence[float], ranks: Sequence[float]) -> float | None:
    """NDCG of one query, from the relevance (at least 0) and rank (at least 1) of each annotated code.

    None where no code is relevant.
    """
    gains_N, ranks_N = 2.0 ** np.asarray(relevance, float) - 1, np.asarray(ranks, float)
    if gains_N.shape != ranks_N.shape or (gains_N < 0).any() or not (ranks_N >= 1).all():
        raise InputError(
            "graded relevance: expected as many ranks from 1 as relevances from 0, "
            f"found {len(ranks_N)} and {len(gains_N)}"
        )
    best = (np.sort(gains_N)[::-1] / np.log2(1 + np.arange(1, len(gains_N) + 1))).sum()
    return float((gains_N / np.log2(1 + ranks_N)).sum() / best) if best > 0 else None


def ranks_within(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """The rank of each score among all of them: 1 + the number of higher scores + half of the other equal ones."""
    return np.asarray(rankdata(-np.asarray(scores, float)))


def summarize_graded(values: Sequence[float | None]) -> Mapping[str, float]:
    """Mean NDCG of the queries that have a relevant code, its 95% interval, and the number of these queries.

    Raises InputError where no query has one.
    """
    known = np.array([value for value in values if value is not None])
    if not len(known):
        raise InputError("graded relevance: expected a query with a code of relevance above 0, found none")
    low, high = bootstrap_mean(known)
    return {"ndcg": float(known.mean()), "ndcg_low": low, "ndcg_high": high, "queries": len(known)}
