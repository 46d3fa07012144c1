"""Intervals and significance tests over queries, for all rows of a table at once.

N queries, C columns (rows of a table), R resamples. A stratum is a language of lang=all, whose MRR is the mean over
languages; otherwise all queries are one stratum.
"""

from collections.abc import Sequence

import numpy as np

from src.metrics.retrieval import BATCH_ENTRIES

RESAMPLES = 9_999  # of the bootstrap: scipy's default
FLIPS = 19_999  # of the randomisation test: its smallest p is 1 / 20,000
LEVEL = 0.05


def query_weights(strata: Sequence[np.ndarray], queries: int) -> np.ndarray:
    """weight_N, sum 1, that makes a sum over queries the mean of the strata's means."""
    weight_N = np.zeros(queries)
    for own in strata:
        weight_N[own] = 1 / (len(own) * len(strata))
    return weight_N


def bootstrap_means(values_NC: np.ndarray, strata: Sequence[np.ndarray]) -> np.ndarray:
    """(2, C): low and high end of each column's 95% percentile bootstrap interval over queries.

    The same numbers as `src.metrics.retrieval.bootstrap_mean`, from the same resamples, which are drawn once for all
    columns: a resample counts how often each query was drawn, and its means are one matrix product.
    """
    queries, columns = values_NC.shape
    rng = np.random.default_rng(0)
    batch = max(1, BATCH_ENTRIES // queries)
    mean_RC = np.empty((RESAMPLES, columns))
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        mean_BC = np.zeros((rows, columns))
        for own in strata:
            size = len(own)
            drawn = rng.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
            count_BN = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)
            mean_BC += count_BN @ values_NC[own] / size
        mean_RC[start : start + rows] = mean_BC / len(strata)
    return np.percentile(mean_RC, [2.5, 97.5], axis=0)


def randomisation_test(difference_NC: np.ndarray, strata: Sequence[np.ndarray], flips: int = FLIPS) -> np.ndarray:
    """p_C, two-sided, of the mean difference: approximate randomisation, paired by query.

    If two systems were the same, chance would decide which of a query's two values belongs to which: signs of the
    differences are flipped at random, and p = (1 + flips with a mean at least as far from 0) / (1 + flips). Source:
    Smucker, Allan and Carterette 2007, "A comparison of statistical significance tests for information retrieval
    evaluation"; the 1 in both places keeps p valid (Phipson and Smyth 2010).
    """
    part_NC = difference_NC * query_weights(strata, len(difference_NC))[:, None]
    part_NC = part_NC[(part_NC != 0).any(axis=1)]
    queries, columns = part_NC.shape
    total_C = part_NC.sum(axis=0)
    # A tie must count as one despite rounding.
    bound_C = np.abs(total_C) - 1e-12
    rng = np.random.default_rng(0)
    batch = max(1, BATCH_ENTRIES // max(queries, 1))
    extreme_C = np.zeros(columns, dtype=np.int64)
    for start in range(0, flips, batch):
        rows = min(batch, flips - start)
        bits = rng.integers(0, 256, (rows, -(-queries // 8)), dtype=np.uint8)
        kept_BN = np.unpackbits(bits, axis=1, count=queries).astype(np.float64)
        extreme_C += (np.abs(2 * kept_BN @ part_NC - total_C) >= bound_C).sum(axis=0)
    return (1 + extreme_C) / (1 + flips)


def holm(p: Sequence[float]) -> list[float]:
    """p adjusted for the number of comparisons, in the same order: Holm's step-down procedure (1979)."""
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(np.asarray(p, dtype=np.float64)[order] * factors), 1)
    return adjusted.tolist()
