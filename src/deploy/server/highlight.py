"""Syntax highlighting: source code as pieces of a few kinds, which the page colours and never reads as HTML."""

from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

# The first entry that a token belongs to counts.
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
    """(kind, text) in order; the joined texts are the code."""
    kinds = (
        (next((name for parent, name in KINDS if token in parent), ""), text)
        for token, text in _lexer(language).get_tokens(code)
    )
    return [(kind, "".join(text for _, text in run)) for kind, run in groupby(kinds, itemgetter(0))]


def lines(code: str, language: str) -> list[list[tuple[str, str]]]:
    """The pieces of each line."""
    found: list[list[tuple[str, str]]] = [[]]
    for kind, text in pieces(code, language):
        first, *more = text.split("\n")
        found[-1].append((kind, first))
        found.extend([(kind, rest)] for rest in more)
    return found[:-1] if not any(text for _, text in found[-1]) else found


@lru_cache
def _lexer(language: str) -> Lexer:
    options = {"startinline": True} if language == "php" else {}
    return get_lexer_by_name(language, stripnl=False, ensurenl=True, **options)
