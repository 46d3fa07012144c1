"""Several languages as one corpus: nothing is mixed up, and every query is ranked among its own language only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate

from src.config.compose import compose_config
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.corpora.dedup import deduplicated
from src.corpora.multilanguage import MultiLanguageCorpus
from src.corpora.source_trees import HarvestCorpus
from src.data.samplers import EpochSampler, OneLanguageSampler
from src.metrics.retrieval import summarize
from src.metrics.summary import lexical_baseline, mrr_difference
from src.utils.errors import InputError
from tests.corpora.harvester.trees import WORDS, go_tree, write
from tests.support.commands import QUICK, run_command
from tests.support.doubles import write_corpus


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("corpus"), "ruby", train=67, valid=11, test=13)
    write_corpus(root, "go", train=41, valid=5, test=7)
    (root / "downloads").mkdir()
    return root


def corpus_of(root, *more: str) -> MultiLanguageCorpus:
    return instantiate(
        compose_config("train", ["corpus=codesearchnet", f"corpus.root={root}", "lang=all", *more]).corpus
    )


def test_ids_carry_their_language_and_stay_distinct(root):
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


def test_a_query_is_ranked_among_candidates_of_its_own_language(root):
    ranks = lexical_baseline(corpus_of(root).split("test"))
    apart = [lexical_baseline(CodeSearchNetCorpus(root, language).split("test")) for language in ("go", "ruby")]
    assert ranks.tolist() == np.concatenate(apart).tolist()


def test_a_large_language_weighs_as_much_as_a_small_one():
    ranks = [1, 2, 4, 4, 4, 4]
    found = summarize(ranks, {"go": 2, "ruby": 4})
    assert found["mrr"] == pytest.approx((0.75 + 0.25) / 2)
    assert (found["go/mrr"], found["ruby/mrr"], found["queries"], found["ruby/queries"]) == (0.75, 0.25, 6, 4)
    assert found["mrr_low"] < found["mrr"] < found["mrr_high"]
    assert found["go/recall@1"] == 0.5
    assert summarize(ranks) == summarize(ranks, {})
    against = mrr_difference(ranks, [1, 1, 4, 4, 4, 4], {"go": 2, "ruby": 4})
    assert against["mrr"] == pytest.approx(-0.125)


def test_a_batch_holds_one_language_and_every_item_comes_at_most_once():
    languages = ["go"] * 23 + ["ruby"] * 41 + ["php"] * 3
    order = OneLanguageSampler(EpochSampler(67, 3), languages, 5)
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
        OneLanguageSampler(EpochSampler(67, 3), languages, 50)


@pytest.mark.parametrize("batches", ["mixed", "one_language"])
def test_one_model_for_all_languages_is_evaluated_for_each(root, tmp_path, batches):
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
        (("corpus.root=null",), "lang=all expects corpus=codesearchnet corpus.root=DIR"),
        (("corpus.batches=one",), "corpus.batches: expected mixed or one_language, found 'one'"),
        (
            ("corpus.root=/nowhere",),
            "found none; without go, java, javascript, php, python, ruby (no folder in corpus.root)",
        ),
        (("corpus=stdlib", "corpus.root=lib"), "corpus.root=lib is one language's library; leave it out"),
        (("corpus=harvest",), "expected the folders to harvest in roots"),
        (("corpus=harvest", "corpus.roots=[nowhere]"), "found nowhere: nothing there"),
    ],
)
def test_a_mistake_ends_with_status_two_and_one_line(root, tmp_path, given, message):
    options = () if given[0] in ("corpus=stdlib", "corpus=harvest") else (f"corpus.root={root}", "corpus=codesearchnet")
    result = run_command("train", tmp_path, *QUICK, "lang=all", *options, *given)
    assert result.status == 2
    assert message in result.errors
    assert len(result.errors.splitlines()) == 1


def test_the_joined_training_is_deduplicated_as_each_language_alone(root):
    corpus = corpus_of(root, "corpus.dedup=near", "corpus.near=0.5")
    options = ["corpus=codesearchnet", f"corpus.root={root}", "corpus.dedup=near", "corpus.near=0.5"]
    alone = {name: instantiate(compose_config("train", [*options, f"lang={name}"]).corpus) for name in ("go", "ruby")}
    assert corpus.split("train").sizes == {name: len(one.split("train")) for name, one in alone.items()}
    assert len(corpus.split("train")) < 108


def several(folder: Path) -> list[Path]:
    """Two roots: one holds go and a ruby file that says nothing, the other ruby and its vendored java."""
    roots = [go_tree(folder / "one"), folder / "two"]
    write(roots[0] / "tools" / "a.rb", "# Is too short to stay.\ndef a\n  1 end\n")
    for word in WORDS:
        body = f"  {word}s = path\n  {word}s\nend\n"
        write(roots[1] / word / f"{word}.rb", f"# Does {word} a file of the user.\ndef {word}(path)\n{body}")
        write(roots[1] / "vendor" / f"{word.title()}.java", "class A {}\n")
    return roots


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return several(tmp_path_factory.mktemp("several"))


def test_a_root_that_lacks_a_language_does_not_end_the_harvest_of_all(roots, tmp_path):
    options = ["corpus=harvest", f"corpus.roots=[{','.join(map(str, roots))}]", f"cache={tmp_path}", "corpus.workers=0"]
    corpus = instantiate(compose_config("train", [*options, "lang=all", "corpus.dedup=none"]).corpus)
    assert corpus.split("train").sizes == {"go": 16, "ruby": 16}
    assert list(corpus.corpora) == ["go", "ruby"]
    alone = [*options, "lang=go", "corpus.dedup=none", f"corpus.roots=[{roots[0]}]"]
    assert [pair.query for pair in corpus.split("test").parts[0].pairs] == [
        pair.query for pair in instantiate(compose_config("train", alone).corpus).split("test").pairs
    ]


def test_all_harvested_languages_are_trained_on_and_reported(roots, tmp_path):
    given = ("corpus=harvest", f"corpus.roots=[{','.join(map(str, roots))}]", f"cache={tmp_path / 'cache'}")
    given += ("corpus.workers=0", "lang=all", "corpus.dedup=none")
    short = ("trainer.max_epochs=1", "data.batch_size=8", "loss=infonce", "corpus.batches=one_language")
    result = run_command("train", tmp_path / "run", *QUICK, *given, *short)
    assert result.status == 0, result.errors
    assert "go, ruby" in result.output
    assert "java, javascript, php, python (no sources in corpus.roots)" in result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["test/mrr"] == pytest.approx((metrics["test/go/mrr"] + metrics["test/ruby/mrr"]) / 2)
    report = run_command("corpus_report", tmp_path / "report", *given)
    assert report.status == 0, report.errors
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (numbers["go/pairs/train"], numbers["ruby/pairs/train"], numbers["pairs/train"]) == (16, 16, 32)
    assert report.output.count("(no sources in corpus.roots)") == 1


def test_all_languages_need_two_languages_or_more(roots, tmp_path):
    corpus = HarvestCorpus([roots[0]], "all", cache=tmp_path, workers=0)
    with pytest.raises(
        InputError, match=r"two languages or more, found go; without java, .*; ruby \(.* too few"
    ) as error:
        deduplicated(lambda language: corpus, language="all").split("train")
    assert "\n" not in str(error.value)


def test_a_missing_toolchain_leaves_out_its_language_with_a_hint(roots, tmp_path, monkeypatch, capsys):
    places = dict.fromkeys(("java", "javascript", "php"), list) | {"go": lambda: roots[:1], "ruby": lambda: roots[1:]}
    monkeypatch.setattr("src.corpora.harvester.toolchains._CANDIDATES", places)
    options = ["corpus=stdlib", "lang=all", f"cache={tmp_path}", "corpus.dedup=none"]
    corpus = instantiate(compose_config("train", options).corpus)
    assert list(corpus.corpora) == ["go", "python", "ruby"]
    assert (len(corpus.corpora["go"].split("test")), len(corpus.corpora["ruby"].split("test"))) == (2, 2)
    shown = capsys.readouterr().out
    assert "java (no library on this machine; install a JDK's src.zip (Debian: openjdk-17-source" in shown
    assert "php (no library on this machine; install PHP libraries" in shown
    assert len([line for line in shown.splitlines() if "no library" in line]) == 1
