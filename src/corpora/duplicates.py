"""Near duplicates by the Jaccard index of sub-token sets: exact, without comparing every pair."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import csr_array, triu

from src.text import subtokens


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> list[int]:
    """Positions to drop so that no two texts left have |A & B| / |A | B| >= `threshold`; the first one stays.

    Sets that alike must share one of their few rarest sub-tokens (the prefix filter of Chaudhuri et al., 2006, "A
    primitive operator for similarity joins"), so only pairs that do are counted in full. N texts, V sub-tokens.
    """
    sets = [set(subtokens(text)) for text in texts]
    frequency = Counter(token for tokens in sets for token in tokens)
    rarity = {token: rank for rank, token in enumerate(sorted(frequency, key=lambda token: (frequency[token], token)))}
    ranked = [sorted(rarity[token] for token in tokens) for tokens in sets]  # rarest first
    prefixes = [ranks[: len(ranks) - math.ceil(threshold * len(ranks) - 1e-9) + 1] for ranks in ranked]
    sets_NV, prefixes_NV = _indicator(ranked, len(rarity)), _indicator(prefixes, len(rarity))
    first, second = triu(prefixes_NV @ prefixes_NV.T, k=1).nonzero()

    sizes_N = np.array([len(ranks) for ranks in ranked])
    shared = np.asarray(sets_NV[first].multiply(sets_NV[second]).sum(axis=1)).ravel()
    union = sizes_N[first] + sizes_N[second] - shared
    alike = shared >= threshold * union - 1e-9  # 4 / 5 must count as 0.8

    dropped: set[int] = set()
    for i, j in sorted(zip(first[alike].tolist(), second[alike].tolist())):
        if i not in dropped:
            dropped.add(j)
    return sorted(dropped)


def _indicator(rows: Iterable[Sequence[int]], width: int) -> csr_array:
    rows = list(rows)
    starts = np.cumsum([0, *(len(row) for row in rows)])
    columns = np.array([column for row in rows for column in row], dtype=np.int64)
    return csr_array((np.ones(len(columns), dtype=np.int32), columns, starts), shape=(len(rows), width))
