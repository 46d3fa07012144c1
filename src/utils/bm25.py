"""BM25 as sparse matrices, built once; scores are a sparse product.

Shape letters: B queries, M documents, C columns, V distinct tokens of the documents, U those of a block's rows.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from src.utils.errors import InputError

# Defaults of rank_bm25.BM25Okapi 0.2.2.
K1, B, EPSILON = 1.5, 0.75, 0.25
SPREAD = 256  # columns made dense at a time: up to N = 1,024 they fit in the second-level cache


@dataclass(frozen=True)
class Rows:
    """Rows of a csr matrix as arrays: creating a csr_array costs as much as the arithmetic of a small block.

    Row b holds data[indptr[b] : indptr[b + 1]] at the columns indices[indptr[b] : indptr[b + 1]] of `width`.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    width: int

    @classmethod
    def of(cls, matrix: csr_array, rows: np.ndarray | None = None) -> Rows:
        """The rows of these numbers (0 or more, in any order), all where None. Raises IndexError beyond the last."""
        if rows is None:
            return cls(matrix.data, matrix.indices, matrix.indptr, matrix.shape[1])
        start_B = matrix.indptr[rows]
        size_B = matrix.indptr[rows + 1] - start_B
        indptr = np.zeros(len(rows) + 1, matrix.indptr.dtype)
        np.cumsum(size_B, out=indptr[1:])
        entries = np.repeat(start_B - indptr[:-1], size_B) + np.arange(indptr[-1], dtype=indptr.dtype)
        return cls(matrix.data[entries], matrix.indices[entries], indptr, matrix.shape[1])

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def sums(self) -> np.ndarray:
        """float64 (rows,)"""
        return np.diff(np.concatenate([[0.0], np.cumsum(self.data, dtype=np.float64)])[self.indptr])


def block_product(row_BV: Rows, column_CV: Rows) -> np.ndarray:
    """row_BV @ column_CV.T, dense (B, C) in the rows' dtype.

    The columns become dense over the tokens of the rows, and scipy multiplies a sparse with a dense matrix: a third of
    the time of its product of two sparse ones, with bitwise equal results.
    """
    present_V = np.zeros(row_BV.width, bool)
    present_V[row_BV.indices] = True
    token_U = np.flatnonzero(present_V)
    place_V = np.full(row_BV.width, len(token_U), row_BV.indices.dtype)  # tokens that no row has share one more place
    place_V[token_U] = np.arange(len(token_U))
    rows_BU = csr_array((row_BV.data, place_V[row_BV.indices], row_BV.indptr), shape=(len(row_BV), len(token_U) + 1))
    place = place_V[column_CV.indices]
    column = np.repeat(np.arange(len(column_CV)), np.diff(column_CV.indptr))
    score_BC = np.empty((len(row_BV), len(column_CV)), row_BV.data.dtype)
    spread_UC = np.empty((len(token_U) + 1) * min(SPREAD, len(column_CV)), score_BC.dtype)  # one buffer for all
    for first in range(0, len(column_CV), SPREAD):
        last = min(first + SPREAD, len(column_CV))
        own = slice(column_CV.indptr[first], column_CV.indptr[last])
        column_UC = spread_UC[: (len(token_U) + 1) * (last - first)].reshape(-1, last - first)
        column_UC.fill(0)
        column_UC[place[own], column[own] - first] = column_CV.data[own]
        score_BC[:, first:last] = rows_BU @ column_UC
    return score_BC


def bm25_weights(
    counts_MV: Rows, entry_idf: np.ndarray, average_length: float, k1: float = K1, b: float = B
) -> np.ndarray:
    """The score of document m for one occurrence of token v in a query, for every stored entry.

        weight = idf * f * (k1 + 1) / (f + k1 * (1 - b + b * length / average_length))

    Args:
        counts_MV: f, the occurrences of each token in each document; a document's length is its row's sum.
        entry_idf: the token's idf for every stored entry of `counts_MV`, in storage order.
        average_length: of the documents, in tokens; 0 (nothing but empty documents) is fine.

    Returns:
        in counts_MV's dtype and storage order; always computed in float64.
    """
    relative_M = counts_MV.sums() / (average_length or 1.0)
    penalty = np.repeat(k1 * (1 - b + b * relative_M), np.diff(counts_MV.indptr))
    weights = entry_idf * counts_MV.data * (k1 + 1) / (counts_MV.data + penalty)
    return weights.astype(counts_MV.data.dtype, copy=False)


class BM25:
    """Okapi BM25 over a fixed list of documents, with the statistics of `rank_bm25.BM25Okapi`.

    idf = log(M - n + 0.5) - log(n + 0.5) for a token found in n of the M documents; where that is negative, a quarter
    of the mean idf instead. A token that is repeated in a query counts each time; an unknown one counts as zero.

    rank-bm25 itself keeps a dict per document: at 200,000 documents of 80 tokens these arrays took half of its time and
    half of its memory. A test compares both to within 1e-9 in float64.

    Attributes:
        vocabulary: token -> column, in order of first appearance.
        counts_MV: csr, occurrences of each token in each document.
        weights_MV: csr, see `bm25_weights`.

    Raises:
        InputError: there is no document. Empty documents are fine: they score 0.
    """

    def __init__(self, documents: Iterable[Sequence[str]], dtype: type[np.floating] = np.float64) -> None:
        growing: defaultdict[str, int] = defaultdict()
        growing.default_factory = growing.__len__
        self.counts_MV = _count(documents, growing.__getitem__, dtype)
        self.vocabulary = dict(growing)
        documents_M, tokens_V = self.counts_MV.shape
        if documents_M == 0:
            raise InputError("BM25: expected at least one document, found none")
        frequency_V = np.bincount(self.counts_MV.indices, minlength=tokens_V)
        idf_V = np.log(documents_M - frequency_V + 0.5) - np.log(frequency_V + 0.5)
        if tokens_V:
            idf_V[idf_V < 0] = EPSILON * idf_V.mean()
        average_length = self.counts_MV.sum(dtype=np.float64) / documents_M
        weights = bm25_weights(Rows.of(self.counts_MV), idf_V[self.counts_MV.indices], average_length)
        self.weights_MV = csr_array(
            (weights, self.counts_MV.indices, self.counts_MV.indptr), shape=self.counts_MV.shape
        )

    def query_matrix(self, queries: Iterable[Sequence[str]]) -> csr_array:
        """csr (B, V): occurrences of each known token in each query."""
        known = ([token for token in query if token in self.vocabulary] for query in queries)
        return _count(known, self.vocabulary.__getitem__, self.weights_MV.dtype, width=len(self.vocabulary))

    def scores(self, query_BV: csr_array) -> np.ndarray:
        """Dense (B, M) scores of a block of queries; split a long `query_BV` into blocks that fit in memory."""
        return (query_BV @ self._weights_VM).toarray()

    @cached_property
    def _weights_VM(self) -> csr_array:
        # Row-major by token, once instead of in every product.
        return self.weights_MV.T.tocsr()


def _count(
    texts: Iterable[Sequence[str]], column: Callable[[str], int], dtype: type, width: int | None = None
) -> csr_array:
    """csr (texts, width) of token counts; `column` gives a token's column, `width` defaults to what they need."""
    columns, indptr = array("i"), array("i", [0])
    for text in texts:
        columns.extend(map(column, text))
        indptr.append(len(columns))
    indices = np.asarray(columns)
    if width is None:
        width = int(indices.max()) + 1 if len(indices) else 0
    counts = csr_array((np.ones(len(indices), dtype), indices, np.asarray(indptr)), shape=(len(indptr) - 1, width))
    counts.sum_duplicates()
    return counts
