"""Tables: rows beside their intervals, queries beside their best codes; numbers set by hand."""

from __future__ import annotations

import torch

from src.corpora.base import Codebase, Pair, Split
from src.loggers.tables import Examples, results


def test_every_result_is_in_its_own_row_with_its_interval():
    metrics = {"test/mrr": 0.5, "test/mrr_low": 0.4, "test/mrr_high": 0.6, "test/queries": 7, "val/mrr": 0.9}
    metrics |= {"bm25/mrr": 0.3, "minus_bm25/mrr": 0.2, "minus_bm25/mrr_low": 0.1}
    columns, rows = results(metrics, "bce bm25")
    found = {row[0]: dict(zip(columns, row)) for row in rows}
    assert list(found) == ["bce bm25", "BM25", "bce bm25 minus BM25"]
    assert [found["bce bm25"][key] for key in ("mrr", "mrr_low", "mrr_high", "queries")] == [0.5, 0.4, 0.6, 7]
    assert found["bce bm25 minus BM25"]["mrr_low"] == 0.1
    assert found["BM25"]["recall@1"] is None


def test_an_example_shows_the_best_codes_of_its_own_query_and_language():
    pairs = [Pair(f"q{i}", f"code {i}", f"q{i}", language) for i, language in enumerate(("go", "go", "php"))]
    codes = Codebase(["a", "b", "c", "d", "e"], ["A", "B", "C", "D", "E"])
    split = Split("test", pairs, codes, positives=[1, 0, 4])
    examples = Examples(split, [(slice(0, 2), slice(0, 3)), (slice(2, 3), slice(3, 5))])
    codes_MD = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    examples(torch.tensor([2.0, 3.0, 1.0]), torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]]), codes_MD)
    found = [dict(zip(examples.columns, row)) for row in examples.rows]
    assert [(row["query"], row["rank"], row["answer"]) for row in found] == [
        *(("q0", 2.0, "B"), ("q1", 3.0, "A"), ("q2", 1.0, "E"))
    ]
    assert [[row[f"code {i}"] for i in (1, 2, 3)] for row in found] == [
        *(["A", "B", "C"], ["C", "B", "A"], ["E", "D", None])
    ]
    assert [round(row["score 2"], 6) for row in found] == [0.6, 1.6, 0.0]


def test_a_large_pool_is_sampled_and_its_long_codes_are_cut():
    pairs = [Pair(f"q{i}", "code", f"q{i}", "go") for i in range(211)]
    split = Split("test", pairs, Codebase(["a"], ["c" * 9999]), positives=[0] * 211)
    examples = Examples(split, [(slice(0, 211), slice(0, 1))])
    examples(torch.ones(211), torch.ones(211, 2), torch.ones(1, 2))
    assert len(examples.rows) == 50
    assert (examples.rows[0][0], examples.rows[-1][0]) == ("q0", "q210")
    assert len(examples.rows[0][2]) == 1000
