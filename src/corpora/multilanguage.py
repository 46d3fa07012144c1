"""Several languages as one corpus: lang=all. Each language keeps its own codebase, and its queries are ranked there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from src.corpora.base import Codebase, Corpus, Pair, Split
from src.errors import InputError, nearest

log = logging.getLogger(__name__)

LANGUAGES = ("go", "java", "javascript", "php", "python", "ruby")
BATCHES = ("mixed", "one_language")


class MultiLanguageCorpus:
    """The languages that have a folder under `root`, in alphabetical order.

    Ids are prefixed by the language, so that they stay unique. Splits hold all languages one after the other, and each
    language's own split as a part.

    Args:
        read: gives the corpus of one language.
        batches: what a training batch holds: pairs of all languages (`mixed`) or of `one_language`.
    """

    language = "all"

    def __init__(self, read: Callable[[str], Corpus], root: str | Path | None, batches: str = "mixed") -> None:
        self.read = read
        self.root = root
        self.batches = batches
        self._corpora: dict[str, Corpus] = {}
        self._splits: dict[str, Split] = {}

    def split(self, name: str) -> Split:
        """Raises InputError: there is no language under the root, or what the corpus of a language raises."""
        if name not in self._splits:
            if self.batches not in BATCHES:
                hint = nearest(str(self.batches), BATCHES)
                raise InputError(f"corpus.batches is one of {', '.join(BATCHES)}, found {self.batches!r}{hint}")
            parts = [prefixed(corpus.split(name), language) for language, corpus in self.corpora.items()]
            self._splits[name] = joined(name, parts)
        return self._splits[name]

    @property
    def corpora(self) -> Mapping[str, Corpus]:
        """Language -> its own corpus. Raises InputError: there is none under the root."""
        self._corpora = self._corpora or {language: self.read(language) for language in self._languages()}
        return self._corpora

    def _languages(self) -> Sequence[str]:
        if self.root is None:
            raise InputError("lang=all expects corpus=codesearchnet corpus.root=DIR with a folder for each language")
        root = Path(self.root).expanduser()
        found = [language for language in LANGUAGES if (root / language).is_dir()]
        if not found:
            raise InputError(f"lang=all expects folders such as {root / 'ruby'}, found none of {', '.join(LANGUAGES)}")
        log.info("languages: %s", ", ".join(found))
        return found


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
