"""The options of a search, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from src.config.choices import MOST, NAMES, Fusion
from src.utils.errors import InputError, nearest

if TYPE_CHECKING:
    from src.deploy.encoder import Model

FUSIONS: tuple[str, ...] = get_args(Fusion)
LONGEST_QUERY = 10_000  # characters


def checked_query(query: str) -> str:
    """The query without surrounding blanks. Raises InputError where it holds no word, or is too long for a query."""
    text = query.strip()
    if not any(character.isalnum() for character in text):
        raise InputError(f"expected a query in words, found {text!r}: say what the function does")
    if len(text) > LONGEST_QUERY:
        raise InputError(f"expected a query of at most {LONGEST_QUERY:,} characters, found {len(text):,}")
    return text


def check_options(top: int, languages: Sequence[str], fusion: str) -> None:
    """Raises InputError for values that a search does not accept."""
    if not 1 <= top <= MOST:
        raise InputError(f"expected top=1 to {MOST:,}, found {top!r}")
    for language in languages:
        if language not in NAMES:
            raise InputError(f"expected lang={'|'.join(NAMES)}, found {language!r}{nearest(language, NAMES)}")
    if fusion not in FUSIONS:
        raise InputError(f"expected fusion={'|'.join(FUSIONS)}, found {fusion!r}{nearest(fusion, FUSIONS)}")


def unread_words(model: Model, query: str) -> str:
    """A sentence about the words of a query that the model does not read; empty where it reads all."""
    words = query.split()
    read = model.words_read(query)
    if read >= len(words):
        return ""
    return f"the model reads the first {read} words of the query's {len(words)}, up to {words[read - 1]!r}: shorten it"
