"""Annotations of graded relevance: what is read, and NDCG of a model and of BM25 by hand."""

from __future__ import annotations

import json
import math

import pytest
import torch

from src.analysis.benchmarks import annotations
from src.corpora.base import Codebase
from src.utils.errors import InputError

CODEBASE = Codebase(["a", "b", "c", "d"], ["read file", "sort list", "read list", "close file"])


def write(tmp_path, *rows):
    path = tmp_path / "annotations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(query="q", url="a", relevance=3):
    return {"query": query, "url": url, "relevance": relevance}


def test_relevance_is_averaged_over_annotators_and_kept_per_query(tmp_path):
    path = write(tmp_path, row(), row("r", "b", 1), row(relevance=0), row(url="c", relevance=2))
    found = annotations.read(path, CODEBASE)
    assert found.queries == ("q", "r")
    assert [rows.tolist() for rows in found.rows] == [[0, 2], [1]]
    assert [values.tolist() for values in found.relevance] == [[1.5, 2.0], [1.0]]
    assert len(found) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (row(url="z"), r"jsonl:2: expected a url of the codebase, found 'z'"),
        (row(relevance=4), r"jsonl:2: expected a relevance from 0 to 3, found 4"),
        (row(relevance="3"), r"jsonl:2: expected a relevance from 0 to 3, found '3'"),
        ({"query": "q", "url": "a"}, r"jsonl:2: expected a relevance from 0 to 3, found None"),
        ({"url": "a", "relevance": 1}, r"jsonl:2: expected the field 'query'"),
    ],
)
def test_a_malformed_line_is_named_with_file_and_line(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        annotations.read(write(tmp_path, row(), wrong), CODEBASE)


def test_ndcg_of_a_model_matches_a_computation_by_hand(tmp_path):
    # q scores a 0.1, b 0.9, c 0.5, d 0.7: among all b d c a, within the annotated c a
    path = write(tmp_path, row(relevance=3), row(url="c", relevance=1), row("r", "b", 0))
    found = annotations.read(path, CODEBASE)
    query_ND = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    code_MD = torch.tensor([[0.1, 0.3], [0.9, 0.2], [0.5, 0.1], [0.7, 0.0]])
    best = 7 + 1 / math.log2(3)
    numbers = annotations.evaluate(found, query_ND, code_MD)
    assert numbers["within/ndcg"] == pytest.approx((7 / math.log2(3) + 1) / best)
    assert numbers["all/ndcg"] == pytest.approx((7 / math.log2(5) + 1 / math.log2(4)) / best)
    assert numbers["within/queries"] == numbers["all/queries"] == 1  # of r nothing is relevant


def test_a_code_below_the_cut_of_the_challenge_gains_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(annotations, "CUT", 2)
    found = annotations.read(write(tmp_path, row(relevance=3), row(url="c", relevance=1)), CODEBASE)
    # among all d c a b, within the annotated c a: a is third
    code_MD = torch.tensor([[0.1], [0.0], [0.5], [0.7]])
    numbers = annotations.evaluate(found, torch.ones(1, 1), code_MD)
    best = 7 + 1 / math.log2(3)
    assert numbers["within@2/ndcg"] == pytest.approx(1 / best)
    assert numbers["all@2/ndcg"] == pytest.approx(1 / math.log2(3) / best)
    assert numbers["all/ndcg"] == pytest.approx((7 / math.log2(4) + 1 / math.log2(3)) / best)


def test_ndcg_of_bm25_uses_the_statistics_of_the_codebase(tmp_path):
    found = annotations.read(write(tmp_path, row("close file", "a", 1), row("close file", "d", 3)), CODEBASE)
    numbers = annotations.evaluate_bm25(found, CODEBASE)
    assert numbers["within/ndcg"] == 1
    # `file` is in half of the codes and weighs 0: a shares ranks 2 to 4 with b and c
    assert numbers["all/ndcg"] == pytest.approx((7 + 1 / math.log2(4)) / (7 + 1 / math.log2(3)))
    found = annotations.read(write(tmp_path, row("close file", "a", 3), row("close file", "d", 0)), CODEBASE)
    assert annotations.evaluate_bm25(found, CODEBASE)["all/ndcg"] == pytest.approx(1 / math.log2(4))


def test_a_gzipped_file_is_found(tmp_path):
    assert annotations.find(tmp_path) is None
    (tmp_path / "annotations.jsonl.gz").touch()
    assert annotations.find(tmp_path).name == "annotations.jsonl.gz"
