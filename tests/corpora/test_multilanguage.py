"""Several languages as one corpus: nothing is mixed up, and every query is ranked among its own language only."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hydra.utils import instantiate

from src.batching import EpochOrder, OneLanguageOrder
from src.cli import composed
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.corpora.multilanguage import MultiLanguageCorpus
from src.errors import InputError
from src.metrics.retrieval import summarize
from src.summary import difference, lexical_baseline
from tests.commands import QUICK, run_command
from tests.doubles import write_corpus


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("corpus"), "ruby", train=67, valid=11, test=13)
    write_corpus(root, "go", train=41, valid=5, test=7)
    (root / "downloads").mkdir()
    return root


def corpus_of(root, *more: str) -> MultiLanguageCorpus:
    return instantiate(composed("train", ["corpus=codesearchnet", f"corpus.root={root}", "lang=all", *more]).corpus)


def test_ids_of_two_languages_are_one(root):
    corpus = corpus_of(root)
    train, test = corpus.split("train"), corpus.split("test")
    assert train.sizes == {"go": 41, "ruby": 67}
    assert len({pair.id for pair in train.pairs}) == 108
    assert (test.pairs[0].id, test.pairs[7].id) == ("go:u46", "ruby:u78")
    assert len(set(test.codebase.ids)) == len(test.codebase) == 12 + 24
    for pair, position in zip(test.pairs, test.positives):
        assert (test.codebase.ids[position], test.codebase.codes[position]) == (pair.code_id, pair.code)
    own = CodeSearchNetCorpus(root, "ruby").split("test")
    assert [pair.query for pair in test.parts[1].pairs] == [pair.query for pair in own.pairs]
    assert test.parts[1].positives == own.positives


def test_a_query_is_ranked_among_candidates_of_another_language(root):
    ranks = lexical_baseline(corpus_of(root).split("test"))
    apart = [lexical_baseline(CodeSearchNetCorpus(root, language).split("test")) for language in ("go", "ruby")]
    assert ranks.tolist() == np.concatenate(apart).tolist()


def test_a_large_language_outweighs_a_small_one():
    ranks = [1, 2, 4, 4, 4, 4]
    found = summarize(ranks, {"go": 2, "ruby": 4})
    assert found["mrr"] == pytest.approx((0.75 + 0.25) / 2)
    assert (found["go/mrr"], found["ruby/mrr"], found["queries"], found["ruby/queries"]) == (0.75, 0.25, 6, 4)
    assert found["mrr_low"] < found["mrr"] < found["mrr_high"]
    assert found["go/recall@1"] == 0.5
    assert summarize(ranks) == summarize(ranks, {})
    against = difference(ranks, [1, 1, 4, 4, 4, 4], {"go": 2, "ruby": 4})
    assert against["mrr"] == pytest.approx(-0.125)


def test_a_batch_mixes_languages_or_an_item_comes_twice():
    languages = ["go"] * 23 + ["ruby"] * 41 + ["php"] * 3
    order = OneLanguageOrder(EpochOrder(67, 3), languages, 5)
    epochs = [order.order(epoch) for epoch in (0, 1)]
    for items in epochs:
        assert len(items) == len(order) == 20 + 40
        assert len(set(items.tolist())) == 60
        batches = items.reshape(-1, 5)
        named = [{languages[i] for i in batch} for batch in batches]
        assert all(len(names) == 1 for names in named)
        assert named != sorted(named, key=str)  # the languages take turns
    assert epochs[0].tolist() != epochs[1].tolist()
    assert order.order(1).tolist() == epochs[1].tolist()
    with pytest.raises(InputError, match="no language has the 50 training pairs"):
        OneLanguageOrder(EpochOrder(67, 3), languages, 50)


@pytest.mark.parametrize("batches", ["mixed", "one_language"])
def test_one_model_for_all_languages_is_not_evaluated_for_each(root, tmp_path, batches):
    given = ("corpus=codesearchnet", f"corpus.root={root}", "lang=all", f"corpus.batches={batches}")
    short = ("trainer.max_epochs=1", "data.batch_size=16", "compare_infonce=true")
    result = run_command("train", tmp_path / "run", *QUICK, *given, *short)
    assert result.status == 0, result.errors
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for who in ("test", "bm25", "infonce"):
        assert metrics[f"{who}/mrr"] == pytest.approx((metrics[f"{who}/go/mrr"] + metrics[f"{who}/ruby/mrr"]) / 2)
    assert metrics["test/go/queries"] == 7
    assert "7 queries, 12 candidates" in result.output
    again = run_command("eval", tmp_path / "eval", f"run={tmp_path / 'run'}")
    assert again.status == 0, again.errors
    assert "identical ranks for all 20 queries" in again.output
    ruby = run_command("eval", tmp_path / "ruby", f"run={tmp_path / 'run'}", "lang=ruby")
    assert ruby.status == 0, ruby.errors
    alone = json.loads((tmp_path / "ruby" / "metrics.json").read_text())
    assert alone["test/mrr"] == pytest.approx(metrics["test/ruby/mrr"])
    assert "test/ruby/mrr" not in alone


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("corpus=stdlib",), "lang=all expects corpus=codesearchnet corpus.root=DIR"),
        (("corpus.batches=one",), "corpus.batches is one of mixed, one_language, found 'one'"),
        (("corpus.root=/nowhere",), "expects folders such as"),
    ],
)
def test_a_mistake_is_a_traceback(root, tmp_path, given, message):
    options = ("corpus=codesearchnet", f"corpus.root={root}") if given != ("corpus=stdlib",) else ()
    result = run_command("train", tmp_path, *QUICK, *options, "lang=all", *given)
    assert result.status == 2
    assert message in result.errors
    assert len(result.errors.splitlines()) == 1


def test_a_leak_stays_in_the_joined_training(root):
    corpus = corpus_of(root, "corpus.dedup=near", "corpus.near=0.5")
    options = ["corpus=codesearchnet", f"corpus.root={root}", "corpus.dedup=near", "corpus.near=0.5"]
    alone = {name: instantiate(composed("train", [*options, f"lang={name}"]).corpus) for name in ("go", "ruby")}
    assert corpus.split("train").sizes == {name: len(one.split("train")) for name, one in alone.items()}
    assert len(corpus.split("train")) < 108
