"""The report finds what was planted, says it on the terminal and on the page, and shows foreign text as text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import QUICK, run_command
from tests.support.doubles import write_corpus

EVIL = "<script>alert('query')</script> открывает"
BODY = """(path, mode, size, encoding, errors):
    handle = open(path, mode, encoding=encoding, errors=errors)
    data = handle.read(size) or b""
    if not data: raise ValueError(f"empty file {path}")
    return merge(data, checked(path, handle.closed))"""


def write_leaks(root: Path) -> Path:
    """A corpus in which one test function is in train under another name, and one that does not parse."""
    write_corpus(root, train=67, valid=11, test=13)
    folder = root / "python"
    leak = [
        {"docstring": "read a block of a file", "code": f"def load_block{BODY}", "url": "leaked"},
        {"docstring": EVIL, "code": f"def fetch_part{BODY}", "url": "planted"},
        {"docstring": "breaks the parser of it", "code": "def broken(:", "url": "broken"},
    ]
    for name, rows in {"test": leak[:1], "codebase": leak[:1], "train": leak[1:]}.items():
        with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
    return root


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return ("corpus=codesearchnet", f"corpus.root={write_leaks(tmp_path_factory.mktemp('corpus'))}")


@pytest.fixture(scope="module")
def reported(options, tmp_path_factory):
    result = run_command("corpus_report", tmp_path_factory.mktemp("run"), *options)
    assert result.status == 0, result.errors
    return result


def test_a_planted_leak_is_reported(reported):
    numbers = json.loads((reported.run / "report.json").read_text())
    assert numbers["pairs/train"] == 69
    assert numbers["pairs/test"] == 14
    assert numbers["leaks/answers/test/exact"] == 0
    assert numbers["leaks/answers/test/near"] == pytest.approx(1 / 14)
    assert numbers["dedup/exact/codebase"] == 69
    assert numbers["dedup/near/codebase"] < 69
    assert "Training has seen 7.1% of the test answers" in reported.output
    assert "Jaccard index 0." in (reported.run / "report.html").read_text()


def test_a_planted_leak_is_removed_by_dedup(options, tmp_path):
    result = run_command("corpus_report", tmp_path, *options, "corpus.dedup=near")
    assert result.status == 0, result.errors
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers["leaks/answers/test/near"] == numbers["leaks/candidates/test/near"] == 0
    assert numbers["pairs/test"] == 14
    assert numbers["within/codes/train/near"] == 0
    assert "corpus.dedup=near has nothing to leave out" in " ".join(result.output.split())


def test_training_says_what_was_dropped(options, tmp_path):
    short = ("trainer.max_epochs=1", "data.batch_size=16", "corpus.dedup=near")
    result = run_command("train", tmp_path, *QUICK, *options, *short)
    assert result.status == 0, result.errors
    pairs = json.loads((tmp_path / "environment.json").read_text())["corpus"]["train_pairs"]
    assert f"{pairs:,} training pairs" in result.output
    assert "1 nearly as a held-out one" in result.output
    assert f"of 69 training pairs {pairs} stay" in (tmp_path / "train.log").read_text()


def test_parsing_and_natural_language_are_measured(reported):
    numbers = json.loads((reported.run / "report.json").read_text())
    assert numbers["language/parses/train"] == pytest.approx(68 / 69)
    assert numbers["language/parses/test"] == 1
    assert numbers["language/not english/train"] == numbers["language/not ascii/train"] == pytest.approx(1 / 69)


def test_the_lexical_baseline_is_that_of_a_run(reported, options, tmp_path):
    short = ("trainer.max_epochs=1", "data.batch_size=16")
    assert run_command("train", tmp_path, *QUICK, *options, *short).status == 0
    run = json.loads((tmp_path / "metrics.json").read_text())
    numbers = json.loads((reported.run / "report.json").read_text())
    assert {key: numbers[key] for key in ("bm25/mrr", "bm25/mrr_low")} == {
        key: run[key] for key in ("bm25/mrr", "bm25/mrr_low")
    }


def test_html_in_a_query_is_escaped_and_the_page_needs_no_network(reported):
    page = (reported.run / "report.html").read_text()
    assert "&lt;script&gt;alert(" in page
    for loading in ("<script", " src=", "<link", "@import", "url(http"):
        assert loading not in page
    assert page.count("<svg") == 4
    assert "currentColor" in page
    assert "#010203" not in page


def test_a_table_fits_a_terminal_of_80_columns(reported):
    assert max(map(len, reported.output.split("Training has seen")[0].splitlines())) <= 80
    assert "…" not in reported.output


def test_a_missing_grammar_does_not_end_the_report(options, tmp_path, monkeypatch):
    def missing(code, language):
        raise ImportError("no module named tree_sitter_python")

    monkeypatch.setattr("src.analysis.corpus.measure.parses", missing)
    result = run_command("corpus_report", tmp_path, *options)
    assert result.status == 0, result.errors
    assert "Codes were not parsed: no module named tree_sitter_python" in " ".join(result.output.split())


@pytest.mark.parametrize("given", [("near=0",), ("sample=0.5",), ("corpus.dedup=nera",), ("corpus.root=nowhere",)])
def test_a_mistake_ends_with_status_two_and_one_line(options, tmp_path, given):
    result = run_command("corpus_report", tmp_path, *options, *given)
    assert result.status == 2
    assert len(result.errors.splitlines()) == 1


def test_every_language_is_reported_on_its_own_and_together(tmp_path):
    root = write_corpus(write_leaks(tmp_path / "corpus"), "ruby", train=41, valid=5, test=7)
    given = ("corpus=codesearchnet", f"corpus.root={root}")
    result = run_command("corpus_report", tmp_path / "all", *given, "lang=all", "near=0.9")
    assert result.status == 0, result.errors
    numbers = json.loads((tmp_path / "all" / "report.json").read_text())
    for language in ("python", "ruby"):
        assert run_command("corpus_report", tmp_path / language, *given, f"lang={language}", "near=0.9").status == 0
        own = json.loads((tmp_path / language / "report.json").read_text())
        assert own == {key: numbers[f"{language}/{key}"] for key in own}
    assert (numbers["pairs/train"], numbers["pairs/test"]) == (69 + 41, 14 + 7)
    for key in ("bm25/mrr", "language/parses/train"):
        assert numbers[key] == pytest.approx((numbers[f"python/{key}"] + numbers[f"ruby/{key}"]) / 2)
    rows = [line.split() for line in result.output.splitlines()]
    assert ["python", "69", "11", "14", "25"] in rows
    assert ["all", "110", "16", "21", "37"] in rows
    assert result.output.count("go, java, javascript, php (no folder in corpus.root)") == 1
    assert max(map(len, result.output.split("python: Training")[0].splitlines())) <= 80
    page = (tmp_path / "all" / "report.html").read_text()
    assert page.count("<svg") == 8
    assert "<h2>Languages</h2>" in page
    assert "<h2>ruby: Sizes</h2>" in page
