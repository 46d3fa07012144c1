"""BM25 over the files of an index, held against the one that is in memory."""

from __future__ import annotations

import numpy as np
import pytest

from src.deploy.index.postings import Lexical, statistics, terms_of, write_postings
from src.utils.bm25 import BM25
from src.utils.subtokens import subtokens
from tests.support.doubles import sentences


@pytest.mark.parametrize("sizes", [(43,), (17, 0, 23, 3)])
def test_scores_over_segments_equal_those_of_bm25_in_memory(tmp_path, sizes) -> None:
    texts = [*(code for _, code in sentences(sum(sizes) - 1)), ""]
    documents = [terms_of("", text) for text in texts]
    folders, start = [], 0
    for number, size in enumerate(sizes):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        write_postings(folders[-1], documents[start : start + size]) if size else folders.pop()
        start += size
    lexical, whole = Lexical(folders, statistics(folders)), BM25(documents)
    for query in ("open the file", "def return x", "sort sort sort", "unheard-of", "Größe"):
        expected_M = whole.scores(whole.query_matrix([subtokens(query)]))[0]
        np.testing.assert_allclose(lexical.scores(query), expected_M, rtol=1e-5, atol=1e-6)


def test_terms_come_from_documentation_and_code() -> None:
    assert terms_of("Reads it.", "def f(): # why") == ["reads", "it", "def", "f", "why"]
