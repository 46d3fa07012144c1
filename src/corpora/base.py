"""The corpus contract: pairs to train on, and for valid and test the codebase to rank."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from src.utils.errors import InputError, nearest

SPLITS = ("train", "valid", "test")
Batches = Literal["mixed", "one_language"]  # what a training batch holds where there are several languages


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the code that answers it."""

    query: str
    code: str
    id: str  # of the query, unique in its split
    language: str
    code_id: str = ""  # the key into the codebase, by default `id`; several queries may share one code

    def __post_init__(self) -> None:
        if not self.code_id:
            object.__setattr__(self, "code_id", self.id)


@dataclass(frozen=True, slots=True)
class Codebase:
    """The candidate codes that every query of a split is ranked against; `ids` are unique."""

    ids: Sequence[str]
    codes: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the ids and codes in order: two pools are the same only if this is the same."""
        return fingerprint(text for item in zip(self.ids, self.codes) for text in item)


@dataclass(frozen=True, slots=True)
class Split:
    """`train` has no codebase; `valid` and `test` have one that holds the code of every pair."""

    name: str
    pairs: Sequence[Pair]
    codebase: Codebase | None = None
    positives: Sequence[int] = field(default=())  # positives[i] = row of pairs[i]'s code in the codebase
    parts: Sequence[Split] = field(default=())  # of several languages: the split of each, in order; else empty

    @classmethod
    def of(cls, name: str, pairs: Sequence[Pair], codebase: Codebase | None = None) -> Split:
        """The split of these pairs: `train` without a codebase, others with the given one or that of their own codes.

        Raises InputError where the codebase lacks the code of a pair.
        """
        if name == "train":
            return cls(name, tuple(pairs))
        if codebase is None:
            code_of = {pair.code_id: pair.code for pair in pairs}
            codebase = Codebase(tuple(code_of), tuple(code_of.values()))
        row_of = {id: row for row, id in enumerate(codebase.ids)}
        for pair in pairs:
            if pair.code_id not in row_of:
                raise InputError(f"{name}: expected the code of every pair in the codebase, found no {pair.code_id!r}")
        return cls(name, tuple(pairs), codebase, tuple(row_of[pair.code_id] for pair in pairs))

    @property
    def candidates(self) -> Codebase:
        """The codebase of valid or test."""
        if self.codebase is None:
            raise InputError(f"expected a codebase to rank in the split {self.name!r}, found none")
        return self.codebase

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def sizes(self) -> dict[str, int]:
        """Language -> number of pairs, where there are several; else empty."""
        return {part.pairs[0].language: len(part) for part in self.parts}

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the pairs in order."""
        return fingerprint(text for pair in self.pairs for text in (pair.id, pair.query, pair.code))


class MissingLanguage(InputError):
    """A language that a corpus does not have here, which lang=all leaves out; the message says why."""


class Corpus(ABC):
    """One language of one corpus. A new corpus implements `read`; everything else has a default.

    A constructor reads no data: whatever is wrong with the data is an InputError of `check` or `split`.
    """

    language: str = "python"  # also that of every pair
    batches: Batches = "mixed"
    dropped: Mapping[str, int] = {}  # training pairs that were left out, by reason, once the training split was read

    @abstractmethod
    def read(self, name: str) -> Split:
        """The split `train`, `valid` or `test`. Raises InputError where it is missing, empty or malformed."""

    def split(self, name: str) -> Split:
        """The split, read on first use. Raises what `read` raises, and InputError for another name."""
        if name not in SPLITS:
            raise InputError(f"a split is one of {', '.join(SPLITS)}, found {name!r}{nearest(name, SPLITS)}")
        if name not in self._splits:
            self._splits[name] = self.read(name)
            if not len(self._splits[name]):
                raise InputError(f"{type(self).__name__} has no pairs in its {name} split: is it where its keys say?")
        return self._splits[name]

    @cached_property
    def _splits(self) -> dict[str, Split]:
        return {}

    def check(self) -> None:  # noqa: B027 - a default: nothing can be known before a split is read
        """Raises InputError for everything that can be known to be wrong without reading a split."""

    def counts(self) -> dict[str, int]:
        """What was read, kept and dropped, where the corpus counts it."""
        return {}

    def of_language(self, language: str) -> Corpus:
        """The corpus of one language, for lang=all. Raises MissingLanguage where it does not have that language."""
        raise InputError(f"lang=all: {type(self).__name__} has one language only; choose it with lang=NAME")


def fingerprint(texts: Iterable[str]) -> str:
    """12 hex digits of SHA-256 over the texts, each prefixed with its length so that boundaries count."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:12]
