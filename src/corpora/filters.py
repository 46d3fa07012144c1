"""GraphCodeBERT's filter of queries (Guo et al., 2021), with the reason for each query that is left out."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def query_problem(query: str) -> str:
    """Why a query is left out, in a few words; empty for one that is kept.

    Kept: 3 to 256 words, English (ASCII and mostly letters), no image and no link.
    """
    words = len(_WORD.findall(query))
    if words < 3:
        return "query under 3 words"
    if words > 256:
        return "query over 256 words"
    if "<img" in query or "http" in query:
        return "query with a link or an image"
    if not query.isascii() or 2 * sum(map(str.isalpha, query)) < len(query.replace(" ", "")):
        return "query not English"
    return ""


def is_good_query(query: str) -> bool:
    """Whether `query_problem` finds nothing."""
    return not query_problem(query)
