"""The command finds, prints and writes what it promises; mistakes are one line; foreign text stays text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import QUICK, run_command
from tests.support.doubles import sentences, write_corpus
from tests.support.wandb_transaction_log import finished

EVIL = "<script>alert('query')</script>"


def write_known(root: Path, known: int = 24) -> Path:
    """A corpus in which `known` training pairs share their code with another, under queries of their own."""
    write_corpus(root, train=67)
    rows = [
        {"docstring": f"{EVIL} {query}", "code": code, "url": f"u{i}"} for i, (query, code) in enumerate(sentences(67))
    ]
    for first, second in zip(rows[:known:2], rows[1:known:2]):
        second["code"] = first["code"]
    (root / "python" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    root = write_known(tmp_path_factory.mktemp("corpus"))
    corpus = ("corpus=codesearchnet", f"corpus.root={root}", f"cache={tmp_path_factory.mktemp('cache')}")
    return (*QUICK, *corpus, "data.batch_size=16", "batches=3", "threshold=1")


@pytest.fixture(scope="module")
def inspected(options, tmp_path_factory):
    training = ("weights.training.batch_size=16", "weights.training.max_epochs=1", "data.num_workers=0")
    more = ("estimators=[bm25,trained_model]", "trainer.max_epochs=1", "weights=simcse", *training)
    result = run_command("inspect_weights", tmp_path_factory.mktemp("run"), *options, *more)
    assert result.status == 0, result.errors
    return result


def test_the_findings_are_written(inspected):
    numbers = json.loads((inspected.run / "inspection.json").read_text())
    assert numbers["pairs/same code"] == 12
    assert numbers["rows/same code"] == numbers["anchors/same code"] == 24
    for name in ("bm25", "trained_model", "simcse"):  # the one that the command line configures is beside the list's
        assert 0 <= numbers[f"auc_low/same code/{name}"] <= numbers[f"auc/same code/{name}"] <= 1
        assert numbers[f"known_per_row/similar/{name}"] >= 0
    assert "spearman/bm25/simcse" in numbers
    assert json.loads((inspected.run / "status.json").read_text())["status"] == "finished"


def test_a_kind_with_a_handful_of_rows_is_not_judged(inspected):
    assert "too few" in inspected.output
    assert "auc/similar codes/bm25" not in json.loads((inspected.run / "inspection.json").read_text())


def test_the_terminal_shows_the_base_rate_and_tables_of_at_most_80_columns(inspected):
    assert "In a random batch a query meets" in inspected.output
    tables = inspected.output.split("Known false negatives among")[1].split("In a random batch")[0]
    assert max(map(len, tables.splitlines())) <= 80
    assert "…" not in tables  # a name or number cut off
    assert "recall at" in tables


def test_html_in_a_query_is_escaped(inspected):
    page = (inspected.run / "inspection.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page
    assert page.count("<details>") == 6


def test_the_page_needs_no_network_and_has_no_colour_of_its_own(inspected):
    page = (inspected.run / "inspection.html").read_text()
    for loading in (" src=", "<link", "@import", "url(http", "<script"):
        assert loading not in page
    assert page.count("<svg") == 4
    assert "currentColor" in page
    assert "#010203" not in page


def test_a_loss_without_weights_is_replaced_by_soft_infonce(options, tmp_path):
    result = run_command("inspect_weights", tmp_path, *options, "estimators=[bm25]", "loss=infonce", "sample=40")
    assert result.status == 0, result.errors
    assert "soft_infonce at its defaults, since infonce gives no weights" in result.output
    assert "of which a random 40 are looked at" in result.output


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("estimators=[bm52]",), "found 'bm52'; did you mean 'bm25'?"),
        (("estimators=[none]",), "found none, which has no similarity"),
        (("estimators=[bm25]", "weights=none"), "found weights=none: choose weights=bm25"),
        (("estimators=[]",), "found an empty list"),
        (("estimators=[bm25]", "threshold=0"), "threshold: expected"),
        (("estimators=[bm25]", "batches=0.5"), "batches: expected a whole number"),
        (("estimators=[bm25]", "data.batch_size=3"), "data.batch_size: expected 4 or more"),
    ],
)
def test_a_mistake_ends_with_status_two_and_one_line(options, tmp_path, given, message):
    result = run_command("inspect_weights", tmp_path, *options, *given)
    assert result.status == 2
    assert message in result.errors
    assert len(result.errors.splitlines()) == 1


def test_a_corpus_with_nothing_to_find_is_refused(tmp_path):
    root = write_corpus(tmp_path / "corpus")
    corpus = ("corpus=codesearchnet", f"corpus.root={root}", "estimators=[bm25]", "threshold=1")
    result = run_command("inspect_weights", tmp_path / "run", *QUICK, *corpus)
    assert result.status == 2
    assert "lower threshold" in result.errors


def test_the_page_is_uploaded_only_when_asked(options, tmp_path):
    asked = ("estimators=[bm25]", "logger=wandb", "logger.wandb.artifacts=[pages]")
    result = run_command("inspect_weights", tmp_path, *options, *asked)
    assert result.status == 0, result.errors
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found = finished(path)
    (run,) = [record.run for record in found if record.HasField("run")]
    assert run.job_type == "inspection"
    (artifact,) = [record.artifact for record in found if record.HasField("artifact")]
    assert [content.path for content in artifact.manifest.contents] == ["inspection.html"]
    result = run_command("inspect_weights", tmp_path / "unasked", *options, *asked[:2])
    assert not (tmp_path / "unasked" / "wandb").exists()
