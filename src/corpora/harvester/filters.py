"""GraphCodeBERT's filter of CodeSearchNet (Guo et al., 2021): which pairs are dropped, and why."""

import re
import string

from src.dataflow.grammars import grammar

FEWEST, MOST = 3, 256  # words of a query
_WORD = re.compile(r"\w+")


def query_problem(query: str, words: int | None = None) -> str:
    """Why a query is dropped, in a few words; empty for a good query: 3 to 256 words, English, no image and no link.

    `words` is the number of words where the data has them as tokens; None counts them here.
    """
    words = len(_WORD.findall(query)) if words is None else words
    if words < FEWEST:
        return f"query under {FEWEST} words"
    if words > MOST:
        return f"query over {MOST} words"
    if "<img" in query or "http" in query:
        return "query with a link or an image"
    return "" if is_english(query) else "query not English"


def is_english(text: str) -> bool:
    """ASCII, with letters for at least half of the characters that are no spaces. This only tests the script.

    How the published filter detects English is not known; a few pairs in a thousand may differ.
    """
    if not text.isascii():
        return False
    others = text.encode().translate(None, string.ascii_letters.encode())
    return 2 * (len(text) - len(others)) >= len(text) - others.count(b" ")


def parses(code: str, language: str) -> bool:
    """Whether the language's grammar accepts a function, or a method without its class.

    Raises InputError: the language has no grammar here.
    """
    known = grammar(language)
    source = code.encode("utf-8", "replace")
    wrapped = (before + source + after for before, after in known.wrappings(source))
    return any(not known.parser.parse(text).root_node.has_error for text in wrapped)
