"""The contract of corpora, and the yaml files that choose them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from hashlib import sha256
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.corpora.base import Codebase, Corpus, Pair, Split, fingerprint
from src.utils.errors import InputError

CONF = Path(__file__).resolve().parents[2] / "conf"


def test_moving_a_boundary_between_texts_changes_the_fingerprint() -> None:
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])
    assert fingerprint(["ab", ""]) != fingerprint(["ab"])


def test_the_fingerprint_is_the_sha256_of_the_texts_and_their_lengths() -> None:
    assert (
        fingerprint(["query", "é"]) == sha256(b"\5" + bytes(7) + b"query\2" + bytes(7) + b"\xc3\xa9").hexdigest()[:12]
    )


def test_codebase_in_another_order_is_another_pool() -> None:
    one = Codebase(("a", "b"), ("x", "y"))
    assert len(one) == 2
    assert one.fingerprint != Codebase(("b", "a"), ("y", "x")).fingerprint
    assert one.fingerprint == Codebase(["a", "b"], ["x", "y"]).fingerprint


def test_pair_without_code_id_names_its_code_by_its_own_id() -> None:
    assert Pair("query", "code", "7", "go").code_id == "7"
    assert Pair("query", "code", "7", "go", code_id="url").code_id == "url"


def test_pair_cannot_be_changed_after_its_fingerprint_was_taken() -> None:
    pair = Pair("query", "code", "7", "go")
    with pytest.raises(FrozenInstanceError):
        pair.query = "other"  # type: ignore[misc]


def test_split_fingerprint_sees_every_text_of_a_pair() -> None:
    pairs = [Pair("q", "c", "i", "go"), Pair("Q", "c", "i", "go"), Pair("q", "C", "i", "go"), Pair("q", "c", "I", "go")]
    assert len({Split("train", (pair,)).fingerprint for pair in pairs}) == 4


@pytest.mark.parametrize("path", sorted((CONF / "lang").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_name_in_each_language_yaml_is_that_of_its_file(path: Path) -> None:
    assert path.read_text().startswith("# ")
    assert OmegaConf.load(path).name == path.stem


@pytest.mark.parametrize("path", sorted((CONF / "corpus").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_corpus_yaml_has_only_parameters_of_its_class(path: Path) -> None:
    assert path.read_text().startswith("# ")
    config = OmegaConf.create({"lang": {"name": "ruby"}, "cache": "nowhere", "corpus": OmegaConf.load(path)})
    assert instantiate(config.corpus).language == "ruby"  # reads nothing: errors about data come from split()


def test_a_split_without_pairs_is_an_error_that_names_the_corpus() -> None:
    class Empty(Corpus):
        """A corpus whose folder is not where it looks."""

        def read(self, name: str) -> Split:
            return Split.of(name, [])

    with pytest.raises(InputError, match="Empty has no pairs in its train split: is it where its keys say"):
        Empty().split("train")
