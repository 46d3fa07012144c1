"""What a corpus gives: pairs to train on, and for valid and test the codebase to rank."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the code that answers it.

    `id` names the query and is unique in its split; `code_id` names the code (several queries may share one code)
    and is the key into the codebase.
    """

    query: str
    code: str
    id: str
    language: str
    code_id: str = ""

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
    parts: Sequence[Split] = field(default=())  # of several languages: each one's own, in order; else none

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def sizes(self) -> dict[str, int]:
        """Language -> number of pairs, where there are several; else nothing."""
        return {part.pairs[0].language: len(part) for part in self.parts}

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the pairs in order."""
        return fingerprint(text for pair in self.pairs for text in (pair.id, pair.query, pair.code))


class Corpus(Protocol):
    """One language of one corpus. Splits are read on first use and the same on every call."""

    language: str

    def split(self, name: str) -> Split:
        """`name` is train, valid or test. Raises InputError when the split is missing, empty or malformed."""
        ...


def fingerprint(texts: Iterable[str]) -> str:
    """12 hex digits of SHA-256 over the texts, each prefixed with its length so that boundaries count."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:12]
