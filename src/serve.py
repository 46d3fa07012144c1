"""Search an index in a browser: python -m src.serve index=INDEX [index2=OTHER]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from src.utils.errors import InputError

if TYPE_CHECKING:
    from src.config.direct_commands import Serve
    from src.deploy.server.server import Server


def main(cfg: Serve) -> None:
    """Serves until Ctrl-C."""
    with open_server(cfg) as server:
        print(f"searching at {server.url} - Ctrl-C ends it", flush=True)
        server.serve_forever()


def open_server(cfg: Serve) -> Server:
    """The server on its port, not yet serving. Raises what is wrong with the indexes, the models or the port."""
    if cfg.index is None:
        raise InputError("expected the index to serve in index=INDEX, found none: make one with python -m src.index")
    from src.deploy.index.searcher import Searcher
    from src.deploy.server.answers import Answers
    from src.deploy.server.server import Server

    asked = [(cfg.index, cfg.run), (cfg.index2, cfg.run2)]
    server = Server(Answers([]), cfg.host, cfg.port)  # before the models: a port is taken or not at once
    try:
        server.answers = Answers([Searcher(index, run) for index, run in asked if index is not None])
        for searcher in server.answers.searchers:
            searcher.search("warm up", 1)  # reads the vectors once, and whatever a model starts late
    except BaseException:
        server.server_close()
        raise
    return server


if __name__ == "__main__":
    from src.config import direct_cli

    direct_cli.run(main, "serve")
