"""Training pairs without copies and without leaks: corpus.dedup=exact|near, for every corpus.

Only training pairs are dropped, never a query or a candidate of valid and test, so that results stay comparable with
those of the whole training split. Allamanis, 2019 (arXiv 1812.06469), on what duplicates do to measurements.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from src.config.types import Jaccard
from src.corpora.base import Batches, Corpus, Pair, Split, fingerprint
from src.corpora.multilanguage import MultiLanguageCorpus
from src.utils.errors import InputError
from src.utils.near_duplicates import near_duplicate_pairs, near_duplicates

log = logging.getLogger(__name__)

Dedup = Literal["none", "exact", "near"]
Against = Literal["codebase", "answers"]
AGAINST: tuple[Against, ...] = get_args(Against)
Keeping = tuple[list[int], dict[str, int]]  # positions that stay, and how many were dropped by reason

_known: dict[tuple[Any, ...], Keeping] = {}  # of this process: estimators and a second training read the corpus too


def deduplicated(
    of: Callable[..., Corpus],
    dedup: Dedup = "none",
    near: Jaccard = 0.8,
    against: Against = "codebase",
    batches: Batches = "mixed",
    **options: Annotated[Any, "of"],
) -> Corpus:
    """The corpus `of(**options)`, deduplicated unless `dedup` is none, and of every language with language=all.

    Args:
        of: makes the corpus.
        dedup: training pairs that are left out: `none`, `exact` (same code as a held-out or an earlier one) or `near`.
        near: Jaccard index of code sub-tokens from which two codes are near duplicates.
        against: what is held out: the `codebase` of valid and test, or their `answers` only.
        batches: with lang=all, what a training batch holds: `mixed` languages or `one_language`.
        options: arguments of `of`.

    With language=all, the corpora of all languages for which `of_language` gives one are joined.
    """

    def cleaned(corpus: Corpus) -> Corpus:
        return corpus if dedup == "none" else Deduplicated(corpus, near if dedup == "near" else None, against)

    corpus = of(**options)
    if corpus.language == "all":
        return MultiLanguageCorpus(lambda language: cleaned(corpus.of_language(language)), batches)
    return cleaned(corpus)


@dataclass(eq=False)
class Deduplicated(Corpus):
    """A corpus without the training pairs whose code equals a held-out code, or that of an earlier pair.

    Two codes are equal if they have one identity (the url of CodeSearchNet's layout) or the same tokens, and with
    `near` also if their sub-token sets have a Jaccard index of `near` or more. `against` their answers only is for a
    corpus that ranks its training codes too, as CoSQA does.
    """

    corpus: Corpus
    near: float | None
    against: Against = "codebase"

    def __post_init__(self) -> None:
        self.language = self.corpus.language

    def check(self) -> None:
        self.corpus.check()

    def counts(self) -> dict[str, int]:
        return self.corpus.counts()

    def read(self, name: str) -> Split:
        """Raises InputError: what the corpus raises, or no training pair remains."""
        train = self.corpus.split(name)
        if name != "train":
            return train
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


def held_out_codes(splits: Sequence[Split], against: Against) -> list[tuple[str, str]]:
    """(identity, code) of every held-out code, each once."""
    if against == "answers":
        codes = {pair.code_id: pair.code for split in splits for pair in split.pairs}
        return list(codes.items())
    bases = {id(split.candidates): split.candidates for split in splits}.values()  # often one and the same
    return [item for base in bases for item in zip(base.ids, base.codes)]


def keep(train: Sequence[Pair], held_out: Sequence[tuple[str, str]], near: float | None) -> Keeping:
    """Positions of the training pairs that resemble no held-out code and no earlier training pair that stays."""
    pool = [code for _, code in held_out]
    ids, known = {id for id, _ in held_out}, set(map(code_tokens, pool))
    tokens = [code_tokens(pair.code) for pair in train]
    leaks = {i for i, pair in enumerate(train) if pair.code_id in ids or tokens[i] in known}
    kept: list[int] = []
    first_of: set[Any] = set()
    for i, pair in enumerate(train):
        if i not in leaks and first_of.isdisjoint(keys := (("id", pair.code_id), tokens[i])):
            first_of.update(keys)
            kept.append(i)
    dropped = {"as a held-out one": len(leaks), "as an earlier one": len(train) - len(leaks) - len(kept)}
    if near is not None:
        similar = set(near_duplicate_pairs([train[i].code for i in kept], near, pool)[0].tolist())
        clean = [i for place, i in enumerate(kept) if place not in similar]
        copies = set(near_duplicates([train[i].code for i in clean], near))
        kept = [i for place, i in enumerate(clean) if place not in copies]
        dropped |= {"nearly as a held-out one": len(similar), "nearly as an earlier one": len(copies)}
    return kept, dropped


def code_tokens(code: str) -> tuple[str, ...]:
    """Words and other characters, without the spaces between them."""
    return tuple(re.findall(r"\w+|[^\w\s]", code))
