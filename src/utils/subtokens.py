"""Splitting text into lexical units, for BM25, duplicate removal and the tiny backbone."""

import re

# In order: an acronym before a capitalised word (HTTPServer -> http server), a word with an optional capital,
# an acronym, a number, any other letters (non-Latin scripts).
_SUBTOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")


def subtokens(text: str) -> list[str]:
    """Lower-case sub-tokens in reading order; camelCase and snake_case are split, punctuation is dropped.

    >>> subtokens("def parseHTTPResponse2(raw_bytes):")
    ['def', 'parse', 'http', 'response', '2', 'raw', 'bytes']
    """
    return [match.lower() for match in _SUBTOKEN.findall(text)]
