"""Near duplicates by the Jaccard index of sub-token sets: exact, without comparing every pair."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from src.text import subtokens

CANDIDATES = 2**18  # pairs counted in full at a time: about 0.3 GB for functions of 50 distinct sub-tokens


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> list[int]:
    """Positions to drop so that no two texts left have |A & B| / |A | B| >= `threshold`; the first one stays."""
    dropped: set[int] = set()
    for i, j in sorted(zip(*(positions.tolist() for positions in alike_pairs(texts, threshold)))):
        if i not in dropped:
            dropped.add(j)
    return sorted(dropped)


def alike_pairs(texts: Sequence[str], threshold: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of texts whose sub-token sets have |A & B| / |A | B| >= `threshold`, in (0, 1].

    Sets that alike must share one of their few rarest sub-tokens (the prefix filter of Chaudhuri et al., 2006, "A
    primitive operator for similarity joins"), so only pairs that do are counted in full. MinHash would be the choice
    for millions of texts; at the tens of thousands here the exact join takes seconds and misses nothing.

    N texts, V sub-tokens, P pairs. Memory beyond the result is bounded: rows are taken in blocks whose candidates are
    about `CANDIDATES` at most, or those of a single row.

    Returns:
        first_P, second_P: positions, first < second. A text without sub-tokens is like no other.
    """
    sets = [set(subtokens(text)) for text in texts]
    frequency = Counter(token for tokens in sets for token in tokens)
    rarity = {token: rank for rank, token in enumerate(sorted(frequency, key=lambda token: (frequency[token], token)))}
    ranked = [sorted(rarity[token] for token in tokens) for tokens in sets]  # rarest first
    prefixes = [ranks[: len(ranks) - math.ceil(threshold * len(ranks) - 1e-9) + 1] for ranks in ranked]
    sets_NV, prefixes_NV = _indicator(ranked, len(rarity)), _indicator(prefixes, len(rarity))
    sizes_N = np.array([len(ranks) for ranks in ranked])

    found = [(np.empty(0, dtype=np.int64),) * 2]
    for rows in _blocks(prefixes_NV):
        first, second = (prefixes_NV[rows] @ prefixes_NV.T).nonzero()
        first = first + rows.start
        first, second = first[first < second], second[first < second]
        shared = np.asarray(sets_NV[first].multiply(sets_NV[second]).sum(axis=1)).ravel()
        union = sizes_N[first] + sizes_N[second] - shared
        alike = shared >= threshold * union - 1e-9  # 4 / 5 must count as 0.8
        found.append((first[alike], second[alike]))
    first_P, second_P = (np.concatenate(positions) for positions in zip(*found))
    return first_P, second_P


def _blocks(prefixes_NV: csr_array) -> list[slice]:
    """Consecutive rows whose products with all rows have about CANDIDATES entries at most."""
    rows_with_V = np.bincount(prefixes_NV.indices, minlength=prefixes_NV.shape[1])
    block_N = np.cumsum(prefixes_NV @ rows_with_V) // CANDIDATES
    bounds = [0, *(np.flatnonzero(np.diff(block_N)) + 1).tolist(), len(block_N)]
    return [slice(start, stop) for start, stop in pairwise(bounds) if start < stop]


def _indicator(rows: Iterable[Sequence[int]], width: int) -> csr_array:
    rows = list(rows)
    starts = np.cumsum([0, *(len(row) for row in rows)])
    columns = np.array([column for row in rows for column in row], dtype=np.int64)
    return csr_array((np.ones(len(columns), dtype=np.int32), columns, starts), shape=(len(rows), width))
