"""GraphCodeBERT's filter of CodeSearchNet (Guo et al., 2021): which pairs are left out, and why."""

from __future__ import annotations

from collections.abc import Sequence

from src.backbones.dataflow.grammars import grammar

FEWEST, MOST = 3, 256  # tokens of a query


def why_dropped(query_tokens: Sequence[str]) -> str | None:
    """The reason to leave a query out, or None: 3 to 256 tokens, no `<img` or `http`, English."""
    query = " ".join(query_tokens)
    if not FEWEST <= len(query_tokens) <= MOST:
        return f"query of under {FEWEST} or over {MOST} tokens"
    if "<img" in query or "http" in query:
        return "query with an image or a link"
    return None if is_english(query) else "query not in English"


def is_english(text: str) -> bool:
    """ASCII, and letters at least half of it without spaces: a test of the script, which is all it can tell.

    How the published filter told English from other languages is not known; numbers may differ by a few in a thousand.
    """
    return text.isascii() and 2 * sum(map(str.isalpha, text)) >= len(text.replace(" ", ""))


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
