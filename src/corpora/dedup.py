"""Training pairs without copies and without leaks: corpus.dedup=exact|near, for every corpus.

Only training pairs are dropped, never a query or a candidate of valid and test, so that results stay comparable with
those of the whole training split. Allamanis, 2019 (arXiv 1812.06469), on what duplicates do to measurements.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from src.config.types import Jaccard
from src.corpora.base import Corpus, Pair, Split, fingerprint
from src.corpora.multilanguage import MultiLanguageCorpus
from src.utils.errors import InputError, nearest
from src.utils.near_duplicates import near_duplicate_pairs, near_duplicates

log = logging.getLogger(__name__)

WAYS = ("none", "exact", "near")
AGAINST = ("codebase", "answers")
Keeping = tuple[list[int], dict[str, int]]  # positions that stay, and how many were dropped by reason

_known: dict[tuple[Any, ...], Keeping] = {}  # of this process: estimators and a second training read the corpus again


def deduplicated(
    of: Callable[..., Corpus],
    dedup: str = "none",
    near: Jaccard = 0.8,
    against: str = "codebase",
    batches: str = "mixed",
    **options: Annotated[Any, "of"],
) -> Corpus:
    """The corpus `of(**options)`, as it is where `dedup` is none; what conf/corpus/*.yaml build.

    Args:
        of: makes the corpus.
        dedup: training pairs that are left out: `none`, `exact` (same code as a held-out or an earlier one) or `near`.
        near: Jaccard index of code sub-tokens from which two codes are near duplicates.
        against: what is held out: the `codebase` of valid and test, or their `answers` only.
        batches: with lang=all, what a training batch holds: `mixed` languages or `one_language`.
        options: arguments of `of`.

    With language=all, one such corpus for each language that the corpus has, as one: `of_language` of the corpus gives
    it, and raises MissingLanguage where there is none.

    Raises:
        InputError: there is no such way, or `near` is outside (0, 1].
    """
    for key, value, valid in (("dedup", dedup, WAYS), ("against", against, AGAINST)):
        if value not in valid:
            hint = nearest(str(value), valid)
            raise InputError(f"corpus.{key} is one of {', '.join(valid)}, found {value!r}{hint}")
    if isinstance(near, bool) or not isinstance(near, int | float) or not 0 < near <= 1:
        raise InputError(f"expected a number 0 < corpus.near <= 1, found {near!r}")

    def cleaned(corpus: Corpus) -> Corpus:
        return corpus if dedup == "none" else Deduplicated(corpus, near if dedup == "near" else None, against)

    corpus = of(**options)
    if corpus.language == "all":
        return MultiLanguageCorpus(lambda language: cleaned(corpus.of_language(language)), batches)
    return cleaned(corpus)


class Deduplicated:
    """A corpus whose training pairs have no code like a held-out one, nor like an earlier one.

    Two codes are alike if they have one identity (the url of CodeSearchNet's layout) or the same tokens, and with
    `near` also if their sub-token sets have a Jaccard index of `near` or more.

    Args:
        near: None for equal codes only.
        against: what is held out: the `codebase` of valid and test, or their `answers` only, for a corpus that ranks
            its training codes too, as CoSQA does.
    """

    def __init__(self, corpus: Corpus, near: float | None, against: str = "codebase") -> None:
        self.corpus = corpus
        self.language = corpus.language
        self.near = near
        self.against = against
        self._train: Split | None = None
        self.dropped: dict[str, int] = {}  # by reason, once train was read

    def check(self) -> None:
        """Raises InputError for what the corpus can know before it is read."""
        if hasattr(self.corpus, "check"):
            self.corpus.check()

    def split(self, name: str) -> Split:
        """Raises InputError: what the corpus raises, or no training pair is left."""
        if name != "train":
            return self.corpus.split(name)
        if self._train is None:
            self._train = self._cleaned(self.corpus.split("train"))
        return self._train

    def _cleaned(self, train: Split) -> Split:
        held_out = held_out_codes([self.corpus.split(name) for name in ("valid", "test")], self.against)
        key = (train.fingerprint, fingerprint(text for item in held_out for text in item), self.near)
        if key not in _known:
            _known[key] = keep(train.pairs, held_out, self.near)
        kept, self.dropped = _known[key]
        counts = named(self.dropped)
        log.info("of %d training pairs %d stay; dropped: %s", len(train), len(kept), counts)
        if not kept:
            raise InputError(
                f"corpus.dedup leaves none of the {len(train):,} training pairs ({counts}); where valid and test rank "
                "training codes too, corpus.against=answers compares with their answers only"
            )
        return Split("train", tuple(train.pairs[i] for i in kept))


def named(dropped: Mapping[str, int]) -> str:
    """`3 as a held-out one, 1 as an earlier one`."""
    return ", ".join(f"{number:,} {reason}" for reason, number in dropped.items())


def held_out_codes(splits: Sequence[Split], against: str) -> list[tuple[str, str]]:
    """(identity, code) of every held-out code, each once."""
    if against == "answers":
        codes = {pair.code_id: pair.code for split in splits for pair in split.pairs}
        return list(codes.items())
    bases = {id(split.codebase): split.codebase for split in splits}.values()  # often one and the same
    return [item for base in bases for item in zip(base.ids, base.codes)]


def keep(train: Sequence[Pair], held_out: Sequence[tuple[str, str]], near: float | None) -> Keeping:
    """Positions of the training pairs that are alike none held out and none before them that stays."""
    pool = [code for _, code in held_out]
    ids, known = {id for id, _ in held_out}, set(map(code_tokens, pool))
    tokens = [code_tokens(pair.code) for pair in train]
    leaks = {i for i, pair in enumerate(train) if pair.code_id in ids or tokens[i] in known}
    left, first_of = [], set()
    for i, pair in enumerate(train):
        if i not in leaks and first_of.isdisjoint(keys := (("id", pair.code_id), tokens[i])):
            first_of.update(keys)
            left.append(i)
    dropped = {"as a held-out one": len(leaks), "as an earlier one": len(train) - len(leaks) - len(left)}
    if near is not None:
        alike = set(near_duplicate_pairs([train[i].code for i in left], near, pool)[0].tolist())
        clean = [i for place, i in enumerate(left) if place not in alike]
        copies = set(near_duplicates([train[i].code for i in clean], near))
        kept = [i for place, i in enumerate(clean) if place not in copies]
        dropped |= {"nearly as a held-out one": len(alike), "nearly as an earlier one": len(copies)}
        left = kept
    return left, dropped


def code_tokens(code: str) -> tuple[str, ...]:
    """Words and other characters; how they are spaced makes no difference."""
    return tuple(re.findall(r"\w+|[^\w\s]", code))
