"""The BM25 baseline against rank-bm25 and a naive loop, ties and chunks included."""

from __future__ import annotations

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from src.metrics import summary
from src.metrics.summary import bm25_ranks
from src.utils.errors import InputError
from src.utils.subtokens import subtokens
from tests.metrics.reference import naive_ranks

QUERIES = ["read a file", "sort numbers", "zzz"]
CODES = ["def readFile(path): ...", "sortNumbers(x)", "def read_file(p): ...", "sorted(x)", "pass"]


def test_ranks_equal_the_hand_computed_ones():
    # 'read file' matches codes 0 and 2 alike (equal lengths); an unknown word leaves all five codes tied at 0.
    assert bm25_ranks(QUERIES, CODES, [2, 1, 4]).tolist() == [1.5, 1.0, 3.0]


@pytest.mark.parametrize("block_bytes", [1, 2000, 10**6])
def test_ranks_equal_those_of_rank_bm25_for_every_block_size(block_bytes, monkeypatch):
    monkeypatch.setattr(summary, "BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(0)
    words = ["get", "set", "file", "list", "of", "name"]
    texts = [" ".join(rng.choice(words, size)) for size in rng.integers(1, 9, 44)]
    queries, codes = texts[:13], texts[13:]
    positives = rng.integers(0, len(codes), len(queries))
    index = BM25Okapi([subtokens(code) for code in codes])
    # Two orders of summation may part scores that are equal: 1e-9 is far below any true difference here.
    scores = np.round([index.get_scores(subtokens(query)) for query in queries], 9)
    assert bm25_ranks(queries, codes, positives).tolist() == naive_ranks(scores, positives)


def test_no_queries_give_no_ranks_and_an_empty_codebase_is_refused():
    assert bm25_ranks([], CODES, []).tolist() == []
    with pytest.raises(InputError, match="at least one document"):
        bm25_ranks(QUERIES, [], [0, 0, 0])


def test_a_positive_outside_the_codes_is_refused():
    with pytest.raises(InputError, match="from 0 to 4, found 5"):
        bm25_ranks(QUERIES, CODES, [0, 1, 5])
