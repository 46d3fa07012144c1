"""Source code as pieces of a few kinds, which a page colours; the text of a piece is never read as HTML."""

from __future__ import annotations

from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

# The first that a token belongs to decides.
KINDS: tuple[tuple[_TokenType, str], ...] = (
    (Token.Comment, "comment"),
    (Token.Literal.String.Doc, "comment"),
    (Token.Literal.String, "string"),
    (Token.Literal.Number, "number"),
    (Token.Name.Function, "name"),
    (Token.Name.Class, "name"),
    (Token.Name.Decorator, "mark"),
    (Token.Name.Builtin, "builtin"),
    (Token.Operator.Word, "keyword"),
    (Token.Keyword, "keyword"),
)


def pieces(code: str, language: str) -> list[tuple[str, str]]:
    """(kind, text) in order; joined, the texts are the code."""
    found: list[tuple[str, str]] = []
    for token, text in _lexer(language).get_tokens(code):
        kind = next((name for parent, name in KINDS if token in parent), "")
        if found and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1] + text)
        else:
            found.append((kind, text))
    return found


def lines(code: str, language: str) -> list[list[tuple[str, str]]]:
    """The pieces of each line."""
    held: list[list[tuple[str, str]]] = [[]]
    for kind, text in pieces(code, language):
        first, *more = text.split("\n")
        held[-1].append((kind, first))
        held.extend([(kind, rest)] for rest in more)
    return held[:-1] if not any(text for _, text in held[-1]) else held


@lru_cache
def _lexer(language: str) -> Lexer:
    options = {"startinline": True} if language == "php" else {}
    return get_lexer_by_name(language, stripnl=False, ensurenl=True, **options)
