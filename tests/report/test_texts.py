"""Queries read again, and what sets them apart."""

from __future__ import annotations

import html

import numpy as np
import pytest

from src.corpora.base import Codebase, Pair, Split
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.report.cells import cells
from src.report.compare import compare
from src.report.runs import find_runs
from src.report.texts import Texts, duplicate_groups, length_groups, rank_changes, read_texts
from tests.report.runs import make_run
from tests.support.commands import direct
from tests.support.doubles import write_corpus

main = direct("report")


@pytest.fixture
def runs(tmp_path):
    """Runs over a corpus on disk; Soft-InfoNCE swaps the ranks of two queries."""
    root = write_corpus(tmp_path / "data")
    corpus = CodeSearchNetCorpus(language="python", root=root)
    config = {"_target_": "src.corpora.codesearchnet.CodeSearchNetCorpus", "language": "python", "root": str(root)}
    test = corpus.split("test")
    ranks = {pair.id: 2 for pair in test.pairs}
    first, second = list(ranks)[:2]
    options = {"pool": test.codebase.fingerprint, "corpus": config}
    folder = tmp_path / "runs"
    make_run(folder, "infonce", 1, ranks | {first: 1}, **options)
    make_run(folder, "soft_infonce", 1, ranks | {second: 1}, **options)
    return folder


def comparison_of(folder):
    return compare(cells(find_runs([folder])[0]), "infonce")[0]


def test_examples_are_the_queries_that_moved_with_their_own_texts(runs):
    comparison = comparison_of(runs)
    texts = read_texts(comparison)
    assert isinstance(texts, Texts)
    found = rank_changes(comparison, comparison.rows[1], texts)
    assert [(m.query, m.before, m.after) for m in found["better"]] == [(comparison.queries[1], [2], [1])]
    assert [(m.query, m.before, m.after) for m in found["worse"]] == [(comparison.queries[0], [1], [2])]
    assert found["worse"][0].pair == texts.pairs[comparison.queries[0]]
    assert main([str(runs)]) == 0
    page = (runs / "report" / "report.html").read_text()
    for end in ("better", "worse"):
        assert html.escape(found[end][0].pair.query) in page
    assert "MRR by length of the query" in page
    assert "MRR by duplicates of the answer" in page


def test_texts_of_a_corpus_that_changed_are_withheld(runs):
    file = runs.parent / "data" / "python" / "codebase.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[0].replace(': "u', ': "another'))
    assert "the corpus has changed: its pool is" in read_texts(comparison_of(runs))


def test_a_run_directory_that_names_a_foreign_class_is_refused(root):
    config = root / "infonce-1" / "config.yaml"
    config.write_text(config.read_text().replace("root: null", "root: null\n  _target_: subprocess.Popen"))
    assert "asks to build 'subprocess.Popen'" in read_texts(comparison_of(root))


def test_a_missing_corpus_file_is_named(runs):
    (runs.parent / "data" / "python" / "test.jsonl").unlink()
    assert "test.jsonl" in read_texts(comparison_of(runs))


def test_html_of_a_query_or_code_is_escaped(runs, monkeypatch):
    pairs = {id: Pair("<b>query</b>", "<img src=x onerror=y>", id, "python") for id in comparison_of(runs).queries}
    monkeypatch.setattr("src.report.__main__.read_texts", lambda comparison: Texts(pairs, {}, {}))
    assert main([str(runs)]) == 0
    page = (runs / "report" / "report.html").read_text()
    assert "&lt;img src=x onerror=y&gt;" in page
    assert "<img" not in page
    assert "<b>query</b> &lt;b&gt;query" in page


@pytest.mark.parametrize(
    "lengths", [[1, 2, 3, 4, 5, 6, 7], [3, 3, 3, 3, 3], [1, 9], [0, 0, 0], [2, 2, 2, 2, 9], [0, 5, 7]]
)
def test_every_query_is_in_exactly_one_group_of_lengths(lengths):
    groups = length_groups(np.array(lengths))
    assert sum(member_N.astype(int) for member_N in groups.values()).tolist() == [1] * len(lengths)


def test_groups_of_lengths_are_thirds_named_by_their_range():
    groups = length_groups(np.array([1, 1, 2, 5, 5, 6, 9, 10, 11]))
    assert list(groups) == ["1 to 2 words", "5 to 6 words", "9 to 11 words"]
    assert [int(member_N.sum()) for member_N in groups.values()] == [3, 3, 3]


def test_the_own_code_of_a_query_is_not_its_near_copy():
    codes = {
        "x": "alpha beta gamma delta",
        "y": "one two three four",
        "z": "red green blue black",
        "y2": "four three two one",
    }
    ordered = [Pair("q", codes[name], name, "python") for name in "xyz"]
    test = Split("test", ordered, Codebase(list(codes), list(codes.values())), (0, 1, 2))
    train = Split("train", [Pair("q", "black blue green red", "t", "python")])
    found = {name: member_N.tolist() for name, member_N in duplicate_groups(ordered, train, test).items()}
    assert found["code (nearly) in training"] == [False, False, True]
    assert found["near duplicate among candidates"] == [False, True, False]
    assert found["no near duplicate"] == [True, False, True]
