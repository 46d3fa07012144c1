"""Near duplicates by the Jaccard index of sub-token sets: exact, without comparing every pair."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from src.utils.subtokens import subtokens

CANDIDATES = 2**18  # pairs counted in full at a time: about 0.3 GB for functions of 50 distinct sub-tokens


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> list[int]:
    """Positions to drop so that no two remaining texts have |A & B| / |A | B| >= `threshold`; the first one remains."""
    # Equal sets first: a thousand copies, as code generators leave them, would be half a million pairs.
    first_of: dict[frozenset[str], int] = {}
    for position, tokens in enumerate(frozenset(subtokens(text)) for text in texts):
        first_of.setdefault(tokens or frozenset((str(position), "")), position)  # without sub-tokens: similar to none
    different = sorted(first_of.values())
    dropped = set(range(len(texts))).difference(different)
    for i, j in sorted(
        zip(*(positions.tolist() for positions in near_duplicate_pairs([texts[k] for k in different], threshold)))
    ):
        if different[i] not in dropped:
            dropped.add(different[j])
    return sorted(dropped)


def near_duplicate_pairs(
    texts: Sequence[str], threshold: float = 0.8, pool: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of texts whose sub-token sets have |A & B| / |A | B| >= `threshold`, in (0, 1].

    Such sets must share one of their few rarest sub-tokens (the prefix filter of Chaudhuri et al., 2006, "A primitive
    operator for similarity joins"), so only pairs that do, and whose sizes allow it, are counted in full. Unlike
    MinHash, this misses nothing.

    N texts, M texts of the pool, V sub-tokens, P pairs. Memory beyond the result is bounded: rows are taken in blocks
    whose candidates are about `CANDIDATES` at most, or those of a single row.

    Args:
        pool: None compares the texts with each other, else each text with each of the pool.

    Returns:
        first_P, second_P: positions of two texts, first < second, or of a text and of one of the pool. A text without
        sub-tokens is similar to none.
    """
    sets = [set(subtokens(text)) for text in (*texts, *(pool or ()))]
    frequency = Counter(token for tokens in sets for token in tokens)
    rarity = {token: rank for rank, token in enumerate(sorted(frequency, key=lambda token: (frequency[token], token)))}
    ranked = [sorted(rarity[token] for token in tokens) for tokens in sets]  # rarest first
    prefixes = [ranks[: len(ranks) - math.ceil(threshold * len(ranks) - 1e-9) + 1] for ranks in ranked]
    sets_AV, prefixes_AV = _indicator(ranked, len(rarity)), _indicator(prefixes, len(rarity))  # A: texts and pool
    sizes_A = np.array([len(ranks) for ranks in ranked])
    offset = 0 if pool is None else len(texts)  # of the texts to compare with
    prefixes_NV, others_VM = prefixes_AV[: len(texts)], prefixes_AV[offset:].T.tocsr()

    found = [(np.empty(0, dtype=np.int64),) * 2]
    for rows in _blocks(prefixes_NV, others_VM):
        first, second = (prefixes_NV[rows] @ others_VM).nonzero()
        first, second = first + rows.start, second + offset
        smaller, larger = np.minimum(sizes_A[first], sizes_A[second]), np.maximum(sizes_A[first], sizes_A[second])
        possible = (first < second) & (smaller >= threshold * larger - 1e-9)
        first, second = first[possible], second[possible]
        shared = np.asarray(sets_AV[first].multiply(sets_AV[second]).sum(axis=1)).ravel()
        union = sizes_A[first] + sizes_A[second] - shared
        similar = shared >= threshold * union - 1e-9  # 4 / 5 must count as 0.8
        found.append((first[similar], second[similar] - offset))
    first_P, second_P = (np.concatenate(positions) for positions in zip(*found))
    return first_P, second_P


def _blocks(prefixes_NV: csr_array, others_VM: csr_array) -> list[slice]:
    """Consecutive rows whose products with all others have about CANDIDATES entries at most."""
    block_N = np.cumsum(prefixes_NV @ np.diff(others_VM.indptr)) // CANDIDATES
    bounds = [0, *(np.flatnonzero(np.diff(block_N)) + 1).tolist(), len(block_N)]
    return [slice(start, stop) for start, stop in pairwise(bounds) if start < stop]


def _indicator(rows: Sequence[Sequence[int]], width: int) -> csr_array:
    starts = np.cumsum([0, *(len(row) for row in rows)])
    columns = np.array([column for row in rows for column in row], dtype=np.int64)
    return csr_array((np.ones(len(columns), dtype=np.int32), columns, starts), shape=(len(rows), width))
