"""Hand-written sources to functions."""

from __future__ import annotations

from collections import Counter

from src.corpora.harvester.extract import Function, extract
from src.corpora.harvester.languages import LANGUAGES


def functions(language: str, source: str | bytes, counts: Counter[str] | None = None) -> list[Function]:
    """What is extracted from one file."""
    data = source.encode() if isinstance(source, str) else source
    return list(extract(LANGUAGES[language], data, Counter() if counts is None else counts))


def only(language: str, source: str | bytes) -> Function:
    """The one function of a file."""
    [function] = functions(language, source)
    return function


def names(language: str, source: str | bytes) -> list[str]:
    """Qualified names of the functions of a file."""
    return [function.name for function in functions(language, source)]


def dropped(language: str, source: str | bytes) -> dict[str, int]:
    """Why functions of a file were left out."""
    counts: Counter[str] = Counter()
    functions(language, source, counts)
    return {name.removeprefix("dropped: "): number for name, number in counts.items() if name.startswith("dropped")}
