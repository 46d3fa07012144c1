"""GraphCodeBERT's filter of CodeSearchNet (Guo et al., 2021): which pairs are left out, and why."""

from __future__ import annotations

import re
import string

from src.dataflow.grammars import grammar

FEWEST, MOST = 3, 256  # words of a query
_LETTERS = string.ascii_letters.encode()
_WORD = re.compile(r"\w+")


def query_problem(query: str, words: int | None = None) -> str:
    """Why a query is left out, in a few words; empty for one that is kept.

    Kept: 3 to 256 words, English, no image and no link. `words` is their number where the data has them counted, as
    tokens; None counts them here.
    """
    words = len(_WORD.findall(query)) if words is None else words
    if words < FEWEST:
        return f"query under {FEWEST} words"
    if words > MOST:
        return f"query over {MOST} words"
    if "<img" in query or "http" in query:
        return "query with a link or an image"
    return "" if is_english(query) else "query not English"


def is_good_query(query: str) -> bool:
    """Whether `query_problem` finds nothing."""
    return not query_problem(query)


def is_english(text: str) -> bool:
    """ASCII, and letters at least half of it without spaces: a test of the script, which is all it can tell.

    How the published filter told English from other languages is not known; numbers may differ by a few in a thousand.
    """
    if not text.isascii():
        return False
    signs = text.encode().translate(None, _LETTERS)
    return 2 * (len(text) - len(signs)) >= len(text) - signs.count(b" ")


def parses(code: str, language: str) -> bool:
    """Whether the language's grammar finds no error in a function; in java and php also in a method without its class.

    Raises:
        InputError: the language has no grammar here.
    """
    known = grammar(language)
    source = code.encode("utf-8", "replace")
    opening, closing = (b"", b"") if source.lstrip().startswith(b"<?") else known.file
    for head, tail in ((b"", b""), *known.contexts):
        if not known.parser.parse(opening + head + source + tail + closing).root_node.has_error:
            return True
    return False
