"""Known false negatives: training pairs that would answer each other's query, by their texts alone.

S items (training pairs that are looked at), P pairs of items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from src.corpora.base import Pair
from src.data.collate import numbered
from src.utils.errors import InputError
from src.utils.near_duplicates import near_duplicate_pairs

KINDS = {
    "same code": "another query of the same code",
    "similar queries": "another code of almost the same query",
    "similar codes": "almost the same code, under a query that is not similar",
}
# The definition of each kind favours estimators that read the same text.
CAVEATS = {
    "same code": "Easy for estimators that read codes, as trained_model does: the column holds the row's own answer",
    "similar queries": "Easy for estimators that count words of queries, as bm25 does: shared words define this kind",
    "similar codes": "Easy for estimators that read codes, as trained_model does: the column is nearly the answer",
}


@dataclass(frozen=True)
class FalseNegatives:
    """Symmetric bool matrices over items; the kinds share no entry."""

    kinds: Mapping[str, csr_array]  # of KINDS, each (S, S)
    any_SS: csr_array  # of any kind, or a copy of the whole pair: no ordinary negatives

    def pairs(self, kind: str) -> int:
        """Unordered pairs of items."""
        return int(self.kinds[kind].nnz) // 2

    def anchors(self, kind: str) -> np.ndarray:
        """Items that have a known false negative of this kind."""
        return np.flatnonzero(np.diff(self.kinds[kind].indptr))


def known_false_negatives(pairs: Sequence[Pair], threshold: float) -> FalseNegatives:
    """Those of these pairs; `threshold` is the least Jaccard index of sub-token sets that are similar, in (0, 1].

    Raises:
        InputError: there is no known false negative of any kind.
    """
    queries, codes = [pair.query for pair in pairs], [pair.code for pair in pairs]
    same_query, same_code = _equal(queries), _equal(codes)
    similar_query = same_query + _symmetric(*near_duplicate_pairs(queries, threshold), len(pairs))
    similar_code = _symmetric(*near_duplicate_pairs(codes, threshold), len(pairs))
    kinds = {
        "same code": _without(same_code, same_query),
        "similar queries": _without(similar_query, same_code),
        "similar codes": _without(_without(similar_code, same_code), similar_query),
    }
    if not any(matrix.nnz for matrix in kinds.values()):
        raise InputError(
            f"expected known false negatives among the {len(pairs):,} training pairs, found none at threshold="
            f"{threshold:g}: lower threshold, take another corpus, or keep the near duplicates that corpus=stdlib "
            "removes (corpus.near_duplicate=1)"
        )
    return FalseNegatives(kinds, kinds["similar queries"] + kinds["similar codes"] + same_code)


def _equal(texts: Sequence[str]) -> csr_array:
    """Pairs of equal texts."""
    member_ST = csr_array((np.ones(len(texts), dtype=np.int32), (np.arange(len(texts)), numbered(texts).numpy())))
    first, second = (member_ST @ member_ST.T).nonzero()
    return _symmetric(first[first < second], second[first < second], len(texts))


def _symmetric(first_P: np.ndarray, second_P: np.ndarray, size: int) -> csr_array:
    rows, columns = np.concatenate([first_P, second_P]), np.concatenate([second_P, first_P])
    return csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(size, size))


def _without(a_SS: csr_array, b_SS: csr_array) -> csr_array:
    left_SS = (a_SS > a_SS.multiply(b_SS)).tocsr()
    left_SS.eliminate_zeros()
    return left_SS
