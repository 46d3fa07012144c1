"""Training pairs without copies and without leaks: corpus.dedup=exact|near, for every corpus.

Only training pairs are dropped, never a query or a candidate of valid and test, so that results stay comparable with
those of the whole training split. Allamanis, 2019 (arXiv 1812.06469), on what duplicates do to measurements.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from src.corpora.base import Corpus, Split
from src.corpora.duplicates import alike_pairs, near_duplicates
from src.errors import InputError, nearest

log = logging.getLogger(__name__)

WAYS = ("none", "exact", "near")
Keeping = tuple[list[int], dict[str, int]]  # positions that stay, and how many were dropped by reason

_known: dict[tuple[Any, ...], Keeping] = {}  # of this process: estimators and a second training read the corpus again


def deduplicated(of: Callable[..., Corpus], dedup: str = "none", near: float = 0.8, **options: Any) -> Corpus:
    """The corpus `of(**options)`, as it is where `dedup` is none; what conf/corpus/*.yaml build.

    Raises:
        InputError: there is no such way, or `near` is outside (0, 1].
    """
    if dedup not in WAYS:
        raise InputError(f"corpus.dedup is one of {', '.join(WAYS)}, found {dedup!r}{nearest(str(dedup), WAYS)}")
    if isinstance(near, bool) or not isinstance(near, int | float) or not 0 < near <= 1:
        raise InputError(f"expected a number 0 < corpus.near <= 1, found {near!r}")
    corpus = of(**options)
    return corpus if dedup == "none" else Deduplicated(corpus, dedup, near)


class Deduplicated:
    """A corpus whose training pairs have no code like one of valid, test or their codebases, nor like an earlier one.

    Args:
        dedup: `exact`: the same code tokens; `near`: sub-token sets with a Jaccard index of `near` or more, which
            includes the former but for codes without any sub-token.
    """

    def __init__(self, corpus: Corpus, dedup: str, near: float) -> None:
        self.corpus = corpus
        self.language = corpus.language
        self.dedup = dedup
        self.near = near
        self._train: Split | None = None
        self.dropped: dict[str, int] = {}  # by reason, once train was read

    def split(self, name: str) -> Split:
        """Raises InputError: what the corpus raises, or no training pair is left."""
        if name != "train":
            return self.corpus.split(name)
        if self._train is None:
            self._train = self._cleaned(self.corpus.split("train"))
        return self._train

    def _cleaned(self, train: Split) -> Split:
        held_out = [self.corpus.split(name) for name in ("valid", "test")]
        pools = {id(split.codebase): split.codebase for split in held_out}.values()
        key = (train.fingerprint, *(pool.fingerprint for pool in pools), self.dedup, self.near)
        if key not in _known:
            codes, pool = [pair.code for pair in train.pairs], [code for codebase in pools for code in codebase.codes]
            _known[key] = keep_exact(codes, pool) if self.dedup == "exact" else keep_near(codes, pool, self.near)
        kept, self.dropped = _known[key]
        counts = ", ".join(f"{number:,} {reason}" for reason, number in self.dropped.items())
        log.info(
            "corpus.dedup=%s: of %d training pairs %d stay; dropped: %s", self.dedup, len(train), len(kept), counts
        )
        if not kept:
            raise InputError(f"corpus.dedup={self.dedup} leaves none of the {len(train):,} training pairs ({counts})")
        return Split("train", tuple(train.pairs[i] for i in kept))


def keep_exact(codes: Sequence[str], pool: Sequence[str]) -> Keeping:
    """Positions of codes whose tokens are those of none of the pool and of no earlier code."""
    held_out, seen, kept = set(map(code_tokens, pool)), set(), []
    leaks = 0
    for position, tokens in enumerate(map(code_tokens, codes)):
        if tokens in held_out:
            leaks += 1
        elif tokens not in seen:
            seen.add(tokens)
            kept.append(position)
    return kept, {"as in valid or test": leaks, "as an earlier one": len(codes) - leaks - len(kept)}


def keep_near(codes: Sequence[str], pool: Sequence[str], near: float) -> Keeping:
    """Positions of codes that are like none of the pool and like no earlier code that stays."""
    leaks = set(alike_pairs(codes, near, pool)[0].tolist())
    clean = [position for position in range(len(codes)) if position not in leaks]
    copies = set(near_duplicates([codes[position] for position in clean], near))
    kept = [position for place, position in enumerate(clean) if place not in copies]
    return kept, {"like one of valid or test": len(leaks), "like an earlier one": len(copies)}


def code_tokens(code: str) -> tuple[str, ...]:
    """Words and other characters; how they are spaced makes no difference."""
    return tuple(re.findall(r"\w+|[^\w\s]", code))
