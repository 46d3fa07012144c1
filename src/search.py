"""Search an index: python -m src.search index=INDEX "open a file and retry on failure" """

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from src.utils.errors import InputError, UserError

if TYPE_CHECKING:
    from src.config.direct_commands import Search
    from src.deploy.index.searcher import Searcher


def main(cfg: Search) -> None:
    """Answers the query, or asks for queries where none is given."""
    from src.deploy.index.query_options import checked_query

    # What cannot work is refused before anything is loaded.
    if cfg.index is None:
        raise InputError("expected the index to search in index=INDEX, found none: make one with python -m src.index")
    if cfg.query is not None:
        checked_query(cfg.query)
    elif cfg.json:
        raise InputError("expected a query with json=true, found none")
    from src.deploy.index.searcher import Searcher

    searcher = Searcher(cfg.index, cfg.run, cfg.checkpoint)
    if cfg.query is not None:
        answer(searcher, cfg, cfg.query)
    else:
        ask_for_queries(searcher, cfg)


def answer(searcher: Searcher, cfg: Search, query: str) -> None:
    """Prints the results of one query."""
    from src.deploy.index.query_options import unread_words
    from src.deploy.index.terminal import show
    from src.utils.console import as_list

    hits = searcher.search(query, cfg.top, as_list(cfg.lang), as_list(cfg.path), cfg.fusion, cfg.exact)
    if note := unread_words(searcher.model, query):
        print(f"warning: {note}", file=sys.stderr)
    if cfg.json:
        model = {key: searcher.index.model[key] for key in ("name", "identity")}
        print(json.dumps({"query": query, "model": model, "hits": [hit.plain() for hit in hits]}, indent=2))
    else:
        show(hits, cfg.lines)


def ask_for_queries(searcher: Searcher, cfg: Search) -> None:
    """Asks for queries until the input ends; an error ends only its own query."""
    if sys.stdin.isatty():
        import readline  # noqa: F401 - arrows and history in input()

        print(f"{searcher.index.manifest['functions']:,} functions. A query, or Ctrl-D to leave.")
    while True:
        try:
            query = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        try:
            searcher.refresh()
            answer(searcher, cfg, query)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)


if __name__ == "__main__":
    from src.config import direct_cli

    direct_cli.run(main, "search")
