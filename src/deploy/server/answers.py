"""The server's answers as plain values: the indexes, the hits of a query, one file; code as pieces of a few kinds.

The page colours the pieces and never reads them as HTML.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from threading import Lock
from time import perf_counter
from typing import Any

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

from src.deploy.index.query_options import unread_words
from src.deploy.index.searcher import Hit, Searcher
from src.deploy.index.store import STATES, Place
from src.utils.errors import InputError

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


class Answers:
    """Answers from one or two indexes, one query at a time."""

    def __init__(self, searchers: Sequence[Searcher]) -> None:
        self.searchers = list(searchers)
        self._lock = Lock()

    def about(self) -> dict[str, Any]:
        """The indexes and their contents."""
        return {"indexes": [self._one(searcher) for searcher in self.searchers]}

    def _one(self, searcher: Searcher) -> dict[str, Any]:
        index = searcher.index
        functions: Counter[str] = Counter()
        for file in index.files:
            functions[file.language] += file.rows
        return {
            "name": os.path.basename(os.path.normpath(searcher.folder)),
            "model": index.model["name"],
            "dimension": index.dimension,
            "functions": index.manifest["functions"],
            "languages": {language: number for language, number in functions.most_common() if number},
            "roots": index.roots,
            "made": index.manifest["made"],
        }

    def search(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """The hits of every index for q, filtered by lang and path. Raises InputError as `Searcher.search` does."""
        query = asked.get("q", "")
        languages = [part for part in asked.get("lang", "").split(",") if part]
        paths = [part.strip() for part in asked.get("path", "").split(",") if part.strip()]
        top = _number("top", asked.get("top", "10"))
        answers = []
        with self._lock:
            for number, searcher in enumerate(self.searchers):
                searcher.refresh()
                start = perf_counter()
                hits = searcher.search(query, top, languages, paths, asked.get("fusion", "none"))
                seconds = perf_counter() - start
                shown = [self._shown(hit, number) for hit in hits]
                note = unread_words(searcher.model, query)
                answers.append({"hits": shown, "milliseconds": round(1000 * seconds, 1), "note": note})
        return {"query": query, "answers": answers}

    def _shown(self, hit: Hit, index: int) -> dict[str, Any]:
        plain = hit.plain()
        plain["label"] = _label(hit.place)
        plain["copies"] = [_label(copy) for copy in hit.copies]
        plain["state"] = STATES.get(hit.state, "")
        plain["code"] = pieces(hit.source, hit.place.language)
        plain["open"] = f"/file?index={index}&row={hit.row}#L{hit.place.start}"
        return plain

    def file(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """The current lines of the file of a row. Raises InputError where it cannot be shown."""
        from src.corpora.harvester.source_trees import Tree  # and the grammars, which take a while

        index = _number("index", asked.get("index", "0"))
        row = _number("row", asked.get("row", ""))
        if not 0 <= index < len(self.searchers):
            raise InputError(f"expected index=0 to {len(self.searchers) - 1}, found {index}")
        searched = self.searchers[index].index
        if not 0 <= row < len(searched.rows):
            raise InputError(f"the index has no row {row}: search again")
        place = searched.place(row)
        try:
            text = Tree(place.root, "").read(place.path).decode("utf-8-sig", "replace").replace("\r\n", "\n")
        except (OSError, KeyError) as error:
            raise InputError(f"{place.file} can no longer be read: index again") from error
        return {
            "path": place.file,
            "name": place.name,
            "first": place.start,
            "last": place.end,
            "state": STATES.get(place.state(), ""),
            "lines": lines(text, place.language),
        }


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


def _label(place: Place) -> str:
    """A short name of the place: the root's own name, the path below it, the line."""
    return f"{os.path.basename(place.root)}/{place.path}:{place.start}"


def _number(key: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise InputError(f"expected a number in {key}, found {text!r}")
    return int(text)
