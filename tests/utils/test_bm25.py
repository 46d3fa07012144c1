"""BM25 as sparse matrices against rank-bm25 and a hand-computed score."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi
from scipy.sparse import csr_array

from src.utils import bm25
from src.utils.bm25 import BM25, Rows, block_product
from src.utils.errors import InputError

DOCUMENTS = [
    ["read", "file", "read"],
    ["write", "file"],
    [],
    ["sort", "list", "of", "list"],
    ["parse", "file"],
]  # M = 5
QUERIES = [["read", "a", "file"], ["list", "list"], ["unknown"]]  # B = 3


def scores(documents, queries, dtype=np.float64):
    bm25 = BM25(documents, dtype)
    return bm25.scores(bm25.query_matrix(queries))


def expected(documents, queries):
    return np.array([BM25Okapi(documents).get_scores(query) for query in queries])


def test_a_score_equals_its_hand_computation():
    # 'sort' is in 1 of 5 documents, once in document 3 of length 4; the mean length is 11 / 5.
    idf = math.log((5 - 1 + 0.5) / (1 + 0.5))
    by_hand = idf * 1 * 2.5 / (1 + 1.5 * (0.25 + 0.75 * 4 / 2.2))
    assert scores(DOCUMENTS, [["sort"]])[0] == pytest.approx([0, 0, 0, by_hand, 0], abs=1e-12)


def test_scores_equal_those_of_rank_bm25():
    found = scores(DOCUMENTS, QUERIES)
    assert found.shape == (3, 5)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected(DOCUMENTS, QUERIES), atol=1e-9, rtol=0)


# Few letters make tokens of more than half of the documents, whose negative idf gets the floor.
documents_of_few_tokens = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=11), min_size=1, max_size=13)
queries_of_few_tokens = st.lists(st.lists(st.sampled_from("abcdefgxyz"), max_size=7), min_size=1, max_size=3)


@settings(deadline=None)
@given(documents_of_few_tokens.filter(any), queries_of_few_tokens)
def test_repeated_unknown_and_frequent_tokens_score_as_in_rank_bm25(documents, queries):
    np.testing.assert_allclose(scores(documents, queries), expected(documents, queries), atol=1e-9, rtol=0)


def test_a_token_repeated_in_the_query_counts_every_time():
    once, twice = scores(DOCUMENTS, [["list"], ["list", "list"]])
    np.testing.assert_array_equal(twice, 2 * once)


def test_a_larger_corpus_scores_as_in_rank_bm25():
    rng = np.random.default_rng(0)
    documents = [[f"t{token}" for token in rng.zipf(1.3, size) % 997] for size in rng.integers(0, 41, 503)]
    np.testing.assert_allclose(
        scores(documents, documents[:7]), expected(documents, documents[:7]), atol=1e-9, rtol=1e-12
    )
    np.testing.assert_allclose(
        scores(documents, documents[:7], np.float32), expected(documents, documents[:7]), rtol=1e-5, atol=1e-6
    )


def test_documents_and_queries_without_tokens_score_zero():
    assert scores([[], []], [["a"], []]).tolist() == [[0, 0], [0, 0]]
    assert scores(DOCUMENTS, [[]]).tolist() == [[0] * 5]
    assert scores(DOCUMENTS, []).shape == (0, 5)


def test_an_empty_list_of_documents_is_refused():
    with pytest.raises(InputError, match="at least one document"):
        BM25([])


def test_documents_can_be_streamed():
    streamed = BM25(iter(DOCUMENTS))
    assert (streamed.weights_MV != BM25(DOCUMENTS).weights_MV).nnz == 0


def test_indices_take_four_bytes():
    # scipy keeps 64-bit indices where it is given them: twice the memory, and slower products.
    bm25 = BM25(DOCUMENTS)
    for matrix in (bm25.weights_MV, bm25.query_matrix(QUERIES)):
        assert matrix.indices.dtype == matrix.indptr.dtype == np.int32


def test_equal_documents_score_equally():
    found = scores([*DOCUMENTS, DOCUMENTS[0], DOCUMENTS[0][::-1]], QUERIES)
    np.testing.assert_array_equal(found[:, [5, 6]], found[:, [0, 0]])


def test_pickling_does_not_change_the_scores():
    bm25 = BM25(DOCUMENTS)
    copy = pickle.loads(pickle.dumps(bm25))
    np.testing.assert_array_equal(copy.scores(copy.query_matrix(QUERIES)), bm25.scores(bm25.query_matrix(QUERIES)))


@pytest.mark.parametrize("spread", [1, 3, 1000])  # columns at a time: one, some and a rest, all
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_block_equals_the_product_of_its_rows(spread, dtype, monkeypatch):
    monkeypatch.setattr(bm25, "SPREAD", spread)
    rng = np.random.default_rng(spread)
    dense_NV, other_NV = (rng.integers(-2, 3, (13, 29)) * (rng.random((13, 29)) < 0.2) for _ in range(2))
    dense_NV[3] = other_NV[7] = 0
    first_NV, second_NV = (csr_array(matrix.astype(dtype)) for matrix in (dense_NV, other_NV))
    for B, C in ((5, 11), (1, 1), (0, 7), (7, 0), (13, 13)):
        rows, columns = rng.integers(0, 13, B), rng.integers(0, 13, C)  # in any order, some twice
        found_BC = block_product(Rows.of(first_NV, rows), Rows.of(second_NV, columns))
        assert found_BC.dtype == dtype
        np.testing.assert_array_equal(found_BC, dense_NV[rows] @ other_NV[columns].T)


def test_a_row_beyond_the_last_is_refused():
    with pytest.raises(IndexError):
        Rows.of(csr_array(np.eye(3)), np.array([0, 3]))
