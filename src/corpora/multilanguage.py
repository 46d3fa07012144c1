"""Several languages as one corpus: lang=all. Each language keeps its own codebase, and its queries are ranked there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from src.corpora.base import Codebase, Corpus, Pair, Split
from src.utils.console import print_facts
from src.utils.errors import InputError, nearest

log = logging.getLogger(__name__)

LANGUAGES = ("go", "java", "javascript", "php", "python", "ruby")
BATCHES = ("mixed", "one_language")


class MissingLanguage(InputError):
    """A language that a corpus does not have here, which costs lang=all that language only; the message says why."""


class MultiLanguageCorpus:
    """The languages that a corpus has, in alphabetical order.

    Ids are prefixed by the language, so that they stay unique. Splits hold all languages one after the other, and each
    language's own split as a part.

    Args:
        read: gives the corpus of one language; raises MissingLanguage where there is none.
        batches: what a training batch holds: pairs of all languages (`mixed`) or of `one_language`.
    """

    language = "all"

    def __init__(self, read: Callable[[str], Corpus], batches: str = "mixed") -> None:
        self.read = read
        self.batches = batches
        self.quiet = False  # True: which languages there are was said before
        self._corpora: dict[str, Corpus] = {}
        self._splits: dict[str, Split] = {}

    def check(self) -> None:
        """Raises InputError: there is no such kind of batches."""
        if self.batches not in BATCHES:
            hint = nearest(str(self.batches), BATCHES)
            raise InputError(f"corpus.batches is one of {', '.join(BATCHES)}, found {self.batches!r}{hint}")

    def split(self, name: str) -> Split:
        """Raises InputError: there are fewer than two languages, or what the corpus of a language raises."""
        if name not in self._splits:
            self.check()
            parts = [prefixed(corpus.split(name), language) for language, corpus in self.corpora.items()]
            self._splits[name] = joined(name, parts)
        return self._splits[name]

    @property
    def corpora(self) -> Mapping[str, Corpus]:
        """Language -> its own corpus; says which are left out. Raises InputError: there are fewer than two."""
        if not self._corpora:
            found: dict[str, Corpus] = {}
            missing: dict[str, list[str]] = {}  # reason -> languages
            for language in LANGUAGES:
                try:
                    found[language] = self.read(language)
                except MissingLanguage as reason:
                    missing.setdefault(str(reason), []).append(language)
            reasons = [f"{', '.join(languages)} ({reason})" for reason, languages in missing.items()]
            if len(found) < 2:
                names = ", ".join(found) or "none"
                raise InputError(f"lang=all expects two languages or more, found {names}; without {'; '.join(reasons)}")
            facts = {"languages": ", ".join(found)} | ({"without": "; ".join(reasons)} if reasons else {})
            log.info("%s", facts)
            if not self.quiet:
                print_facts(facts)
            self._corpora = found
        return self._corpora


def prefixed(split: Split, language: str) -> Split:
    """The split with `language:` before the ids of its pairs and codes."""
    pairs = tuple(_prefixed(pair, language) for pair in split.pairs)
    if split.codebase is None:
        return replace(split, pairs=pairs)
    codebase = Codebase(tuple(f"{language}:{id}" for id in split.codebase.ids), split.codebase.codes)
    return replace(split, pairs=pairs, codebase=codebase)


def joined(name: str, parts: Sequence[Split]) -> Split:
    """One split of several; positions of positives count from the beginning of the joined codebase."""
    pairs = tuple(pair for part in parts for pair in part.pairs)
    if name == "train":
        return Split(name, pairs, parts=tuple(parts))
    codebase = Codebase(
        tuple(id for part in parts for id in part.codebase.ids),
        tuple(code for part in parts for code in part.codebase.codes),
    )
    positives, offset = [], 0
    for part in parts:
        positives += [offset + position for position in part.positives]
        offset += len(part.codebase)
    return Split(name, pairs, codebase, tuple(positives), tuple(parts))


def _prefixed(pair: Pair, language: str) -> Pair:
    return replace(pair, id=f"{language}:{pair.id}", code_id=f"{language}:{pair.code_id}")
