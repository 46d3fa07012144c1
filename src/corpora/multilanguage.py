"""Several languages as one corpus: lang=all. Each language keeps its own codebase, and its queries are ranked there."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate

from src.corpora.base import Batches, Codebase, Corpus, MissingLanguage, Split
from src.utils.console import print_facts
from src.utils.errors import InputError

log = logging.getLogger(__name__)

LANGUAGES = ("go", "java", "javascript", "php", "python", "ruby")


class MultiLanguageCorpus(Corpus):
    """The languages that a corpus has, in alphabetical order.

    Ids are prefixed by the language, so that they stay unique. Splits hold all languages one after the other, and each
    language's own split as a part. `corpus_of` gives the corpus of one language, or raises MissingLanguage.
    """

    language = "all"

    def __init__(self, corpus_of: Callable[[str], Corpus], batches: Batches = "mixed") -> None:
        self._corpus_of = corpus_of
        self.batches = batches
        self.quiet = False  # True: does not print which languages there are

    def read(self, name: str) -> Split:
        """Raises InputError: there are fewer than two languages, or what the corpus of a language raises."""
        return joined(name, [prefixed(corpus.split(name), language) for language, corpus in self.corpora.items()])

    @cached_property
    def corpora(self) -> Mapping[str, Corpus]:
        """Language -> its own corpus; prints which are left out. Raises InputError: there are fewer than two."""
        found: dict[str, Corpus] = {}
        missing: dict[str, list[str]] = {}  # reason -> languages
        for language in LANGUAGES:
            try:
                found[language] = self._corpus_of(language)
            except MissingLanguage as reason:
                missing.setdefault(str(reason), []).append(language)
        without = "; ".join(f"{', '.join(languages)} ({reason})" for reason, languages in missing.items())
        if len(found) < 2:
            names = ", ".join(found) or "none"
            raise InputError(f"lang=all expects two languages or more, found {names}; without {without}")
        facts = {"languages": ", ".join(found)} | ({"without": without} if without else {})
        log.info("%s", facts)
        if not self.quiet:
            print_facts(facts)
        return found


def prefixed(split: Split, language: str) -> Split:
    """The split with `language:` before the ids of its pairs and codes."""
    pairs = tuple(
        replace(pair, id=f"{language}:{pair.id}", code_id=f"{language}:{pair.code_id}") for pair in split.pairs
    )
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
        tuple(id for part in parts for id in part.candidates.ids),
        tuple(code for part in parts for code in part.candidates.codes),
    )
    offsets = accumulate((len(part.candidates) for part in parts), initial=0)
    positives = tuple(offset + row for offset, part in zip(offsets, parts) for row in part.positives)
    return Split(name, pairs, codebase, positives, tuple(parts))
