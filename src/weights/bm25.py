"""BM25 similarity of training pairs: `weights=bm25`.

Shape letters: N training pairs, B rows, C columns, V distinct tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Literal

import numpy as np
from scipy.sparse import csr_array

from src.corpora.base import Pair
from src.utils.bm25 import BM25, Rows, block_product, bm25_weights
from src.utils.errors import InputError
from src.utils.subtokens import subtokens
from src.weights.base import Estimator

Between = Literal["query_query", "query_code", "code_code"]  # text of the row, text of the column
Statistics = Literal["corpus", "batch"]
Normalize = Literal["none", "self"]
BATCH_K1, BATCH_B = 1.2, 0.75  # constants of the paper's code


class BM25Estimator(Estimator):
    """BM25 score of the column's text for the row's text; higher = more similar.

    The features are two sparse matrices over the training texts (one when rows and columns are the same texts), a few
    tens of MB for 250,000 queries; a block is one sparse product, half a millisecond for a batch of 512.

    Args:
        between: `query_query` (as the paper: similar queries are answered by similar codes), `query_code`
            or `code_code`: the row item's text against the column item's text.
        statistics: `corpus` takes document frequencies and lengths from all training texts, with the formula of
            `rank_bm25.BM25Okapi` (k1=1.5, b=0.75, floored idf); `batch` takes them from the columns of each block, as
            the paper's code does (see `batch_weights`). With `batch` a score depends on its neighbours.
        normalize: `none`, or `self`: a row is divided by the score of its text for the document at its own index, so
            that 1 means "as similar as its own" (`query_code` may exceed it: another code can match better). Only a
            positive own score is a yardstick: a row whose own score is 0 or negative (an empty text, no word in
            common, only words that most documents have) becomes all 0: no negative stands out.
        scale: multiplies the similarity after normalising; it divides the losses' `weight_temperature` for this
            estimator alone.
        tokenizer: text -> tokens; must pickle, since the estimator travels to the data loader's workers.

    Raises InputError: no training pairs.
    """

    def __init__(
        self,
        between: Between = "query_query",
        statistics: Statistics = "corpus",
        normalize: Normalize = "none",
        scale: float = 1.0,
        tokenizer: Callable[[str], list[str]] = subtokens,
    ) -> None:
        self.between, self.statistics, self.normalize = between, statistics, normalize
        self.scale, self.tokenizer = scale, tokenizer

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Counts the tokens of the training pairs. Item i of `similarity` is pairs[i]."""
        if not len(pairs):
            raise InputError("weights=bm25: expected training pairs, found none; check corpus and lang")
        row_text, column_text = map(attrgetter, self.between.split("_"))
        bm25 = BM25((self.tokenizer(column_text(pair)) for pair in pairs), dtype=np.float32)
        same = self.between in ("query_query", "code_code")
        self._rows_NV = bm25.counts_MV if same else bm25.query_matrix(self.tokenizer(row_text(pair)) for pair in pairs)
        self._columns_NV = bm25.weights_MV if self.statistics == "corpus" else bm25.counts_MV
        if self.normalize == "self" and self.statistics == "corpus":
            self._own_N = self._rows_NV.multiply(self._columns_NV).sum(axis=1)

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """float32 (B, C): BM25 score of item columns[c]'s text for item rows[b]'s text, normalised if so configured.

        Needs `fit` first. An empty text scores 0 against everything. Raises IndexError for an index beyond the pairs.
        """
        row_BV, column_CV = Rows.of(self._rows_NV, rows), Rows.of(self._columns_NV, columns)
        weighted_CV = column_CV
        if self.statistics == "batch":
            weighted_CV = replace(column_CV, data=batch_weights(column_CV, column_CV))
        score_BC = block_product(row_BV, weighted_CV)
        if self.normalize == "self":
            own_B = self._own(rows, column_CV)
            positive_B = own_B > 0
            np.divide(score_BC, own_B[:, None], out=score_BC, where=positive_B[:, None])
            score_BC[~positive_B] = 0
        if self.scale != 1:
            score_BC *= np.float32(self.scale)
        return score_BC

    def _own(self, rows: np.ndarray, column_CV: Rows) -> np.ndarray:
        """own_B: each row's score for the document at its own index."""
        if self.statistics == "corpus":
            of_rows_B: np.ndarray = self._own_N[rows]
            return of_rows_B
        document_BV = Rows.of(self._columns_NV, rows)
        weights = (batch_weights(document_BV, column_CV), document_BV.indices, document_BV.indptr)
        documents_BV = csr_array(weights, shape=(len(rows), column_CV.width))
        own_B: np.ndarray = self._rows_NV[rows].multiply(documents_BV).sum(axis=1)
        return own_B


def batch_weights(document_DV: Rows, column_CV: Rows, average_length: float | None = None) -> np.ndarray:
    """BM25 weights of documents under the statistics of one batch, as the paper's code computes them.

    `block_product(row_BV, replace(column_CV, data=batch_weights(column_CV, column_CV, average_length)))` equals that
    code's similarity matrix. What is peculiar to it and kept here: k1=1.2; idf = log((C - n + 0.5) / (n + 0.5)) over
    the C columns alone and without a floor, so a token of more than half of the columns counts against a match; a token
    repeated in the query counts each time. Its average length is that of whole tokenised queries, special tokens
    included, while a document's own length leaves them out; pass that average as `average_length` to reproduce its
    numbers.

    Args:
        document_DV: token counts of the documents to weight.
        column_CV: token counts of the batch's columns, the source of C, n and the average length.
        average_length: in tokens; the mean length of the columns if None.

    Returns a weight for every stored entry of document_DV, of its dtype and storage order.
    """
    columns = len(column_CV)
    frequency = np.bincount(column_CV.indices, minlength=column_CV.width)[document_DV.indices]
    idf = np.log((columns - frequency + 0.5) / (frequency + 0.5))
    if average_length is None:
        average_length = column_CV.data.sum(dtype=np.float64) / max(columns, 1)
    return bm25_weights(document_DV, idf, average_length, BATCH_K1, BATCH_B)
