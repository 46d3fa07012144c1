"""Retrieval metrics of ranks, and NDCG of graded relevance, with bootstrap intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import bootstrap, rankdata
from torch import Tensor

from src.utils.errors import InputError

BATCH_ENTRIES = 2**20  # resampled ranks in memory at a time: 16 MB of indices and values


def summarize(ranks: Tensor | np.ndarray | Sequence[float], sizes: Mapping[str, int] | None = None) -> dict[str, float]:
    """MRR, recall and NDCG of one relevant code per query.

    Args:
        ranks: 1 is best; half ranks are ties. There is no cutoff: rank 5,000 counts 1/5,000.
        sizes: language -> number of queries, in the order of the ranks, where there are several languages. Then all
            means are over languages, and the result also has each language's own metrics, such as `ruby/mrr`.

    Returns:
        `mrr`: mean of 1/rank; `mrr_low`, `mrr_high`: its 95% interval (percentile bootstrap over queries, fixed seed);
        `recall@k`: share of ranks <= k, so a tie at the top (rank 1.5) is no hit at 1;
        `ndcg@10`: mean of 1/log2(1 + rank) for ranks <= 10, else 0; `queries`: their number.

    Raises InputError: no ranks, or one that is NaN or below 1.
    """
    ranks_N = np.asarray(ranks, dtype=np.float64)
    if ranks_N.ndim != 1 or not len(ranks_N) or not (ranks_N >= 1).all():
        raise InputError(
            f"metrics: expected a list of ranks of 1 or more, found shape {ranks_N.shape}"
            + (f" with minimum {ranks_N.min()}" if ranks_N.size else "")
        )
    if sizes:
        strata = split_by_language(ranks_N, sizes)
        own = {language: summarize(values) for language, values in strata.items()}
        means = {key: float(np.mean([summary[key] for summary in own.values()])) for key in own[next(iter(own))]}
        low, high = bootstrap_mean(*(1 / values for values in strata.values()))
        each = {f"{language}/{key}": value for language, summary in own.items() for key, value in summary.items()}
        return {**means, "mrr_low": low, "mrr_high": high, "queries": len(ranks_N), **each}
    reciprocal_N = 1 / ranks_N
    low, high = bootstrap_mean(reciprocal_N)
    return {
        "mrr": float(reciprocal_N.mean()),
        "mrr_low": low,
        "mrr_high": high,
        **{f"recall@{k}": float((ranks_N <= k).mean()) for k in (1, 5, 10)},
        "ndcg@10": float(np.where(ranks_N <= 10, 1 / np.log2(1 + ranks_N), 0).mean()),
        "queries": len(ranks_N),
    }


def split_by_language(values_N: np.ndarray, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Language -> its part of the values, which hold one language after the other."""
    return dict(zip(sizes, np.split(values_N, np.cumsum(list(sizes.values()))[:-1])))


def bootstrap_mean(values_N: np.ndarray, *more: np.ndarray) -> tuple[float, float]:
    """95% percentile bootstrap interval (low, high) of the mean of N values; a single value is its own interval.

    For several arrays: the interval of the mean of their means, each array resampled separately. 9,999
    resamples (scipy's default) from a fixed seed, so equal values give equal intervals.
    """
    if len(values_N) == 1 and not more:
        return float(values_N[0]), float(values_N[0])
    interval = bootstrap(
        (values_N, *more),
        lambda *samples, axis: np.mean([sample.mean(axis=axis) for sample in samples], axis=0),
        batch=max(1, BATCH_ENTRIES // (len(values_N) + sum(map(len, more)))),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def ndcg(relevance: Sequence[float], ranks: Sequence[float]) -> float | None:
    """NDCG of one query, from the relevance (at least 0) and rank (at least 1) of each annotated code.

        DCG = sum over annotated codes of (2^relevance - 1) / log2(1 + rank),  NDCG = DCG / that of the best order

    None where no code is relevant. The ranks are those *within* the annotated codes, or among *all* candidates (Husain
    et al. 2019, arXiv 1909.09436; relevanceeval.py of its repository: `NDCG` and `NDCG (full ranking)`); inf is that of
    a code that is not in the list. A departure: codes with equal scores share their mean rank.
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
