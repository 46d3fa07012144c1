"""What corpus.dedup drops, and what it must never touch."""

from __future__ import annotations

import pytest
from hydra.utils import instantiate

from src.config.checks import check_part
from src.config.compose import compose_config
from src.corpora.base import Codebase, Corpus, Pair, Split
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.corpora.dedup import Deduplicated, deduplicated
from src.utils.errors import InputError
from tests.support.doubles import write_corpus

BODY = """(path, mode, size, encoding, errors):
    handle = open(path, mode, encoding=encoding, errors=errors)
    data = handle.read(size) or b""
    close(handle)
    if not data: raise ValueError(f"empty file {path}")
    return merge(data, path)"""
OTHER = (
    "def sort_rows(table, key, reverse, at, by): return [row for row in sorted(table, key=key, at=by) if row not in {}]"
)


class Planted(Corpus):
    """A corpus in memory whose train holds copies of its test, of its codebase and of itself."""

    def __init__(self, *train: str) -> None:
        pool = Codebase(["a", "b"], [f"def load_block{BODY}", "def unrelated(x, y): return x + y * len(x)"])
        held_out = [Pair("load a block of a file", pool.codes[0], "q", "python", "a")]
        self.splits = {name: Split(name, held_out, pool, [0]) for name in ("valid", "test")}
        self.splits["train"] = Split("train", [Pair(f"query {i}", c, f"t{i}", "python") for i, c in enumerate(train)])

    def read(self, name: str) -> Split:
        return self.splits[name]


TRAIN = (
    f"def load_block{BODY}".replace(" ", "  "),  # the test's own code, spaced otherwise
    f"def fetch_part{BODY}",  # the same function under another name
    OTHER,
    OTHER,
    OTHER.replace("sort_rows", "sort_lines"),
    "def unrelated(x, y): return x + y * len(x)",  # a candidate that is no answer
    "def add(first, second): return first + second",
)


@pytest.mark.parametrize(
    ("dedup", "kept", "dropped"),
    [
        ("exact", ["t1", "t2", "t4", "t6"], [2, 1]),
        ("near", ["t2", "t6"], [2, 1, 1, 1]),
    ],
)
def test_copies_of_held_out_codes_and_repeated_training_codes_are_dropped(dedup, kept, dropped):
    corpus = deduplicated(lambda: Planted(*TRAIN), dedup)
    assert [pair.id for pair in corpus.split("train").pairs] == kept
    assert list(corpus.dropped.values()) == dropped


def test_a_code_whose_id_is_in_the_pool_is_dropped_though_spelt_otherwise():
    plain = Planted(*TRAIN)
    plain.splits["train"].pairs[6:] = [Pair("adds", "def add(first, second): ...", "t6", "python", "a")]
    assert "t6" not in [pair.id for pair in deduplicated(lambda: plain, "exact").split("train").pairs]


def test_deduplication_against_answers_keeps_candidates_that_answer_no_query():
    corpus = deduplicated(lambda: Planted(*TRAIN), "exact", against="answers")
    assert "t5" in [pair.id for pair in corpus.split("train").pairs]  # a candidate, but no answer


@pytest.mark.parametrize("dedup", ["exact", "near"])
def test_held_out_splits_are_left_unchanged(dedup):
    plain = Planted(*TRAIN)
    corpus = deduplicated(lambda: plain, dedup)
    for name in ("valid", "test"):
        assert corpus.split(name) is plain.split(name)


def test_codesearchnet_is_not_deduplicated_by_default(tmp_path):
    root = write_corpus(tmp_path)
    corpus = instantiate(compose_config("train", ["corpus=codesearchnet", f"corpus.root={root}"]).corpus)
    assert type(corpus) is CodeSearchNetCorpus
    assert corpus.split("train").fingerprint == CodeSearchNetCorpus(root).split("train").fingerprint


@pytest.mark.parametrize("name", ["codesearchnet", "stdlib", "cosqa", "advtest"])
def test_every_corpus_can_be_deduplicated(name):
    cfg = compose_config("train", [f"corpus={name}", "corpus.dedup=near", "corpus.near=0.7"]).corpus
    corpus = instantiate(cfg)
    assert isinstance(corpus, Deduplicated)
    assert (corpus.language, corpus.near) == ("python", 0.7)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("dedup=nera", "did you mean 'near'"),
        ("against=answer", "did you mean 'answers'"),
        ("near=0", "above 0 and up to 1, found 0"),
        ("near=high", "found 'high'"),
    ],
)
def test_invalid_options_are_refused_at_once(option, message):
    with pytest.raises(InputError, match=message):
        check_part("corpus", compose_config("train", [f"corpus.{option}"]).corpus)


def test_an_empty_training_split_is_refused():
    with pytest.raises(InputError, match=r"leaves none of the 2 training pairs .* corpus.against=answers"):
        deduplicated(lambda: Planted(*TRAIN[:2]), "near").split("train")
