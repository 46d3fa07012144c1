"""A server of the page on loopback, for a while."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.config.direct_cli import read_keys
from src.deploy.server.server import Server
from src.serve import open_server
from tests.corpora.harvester.trees import write
from tests.support.local_servers import running

EVIL = "<script>hacked()</script><img src=x onerror=hacked()>"


def evil_tree(root: Path) -> Path:
    """Functions whose text, documentation and path would run, were they read as HTML."""
    code = f'def strike(x):\n    """Strike {EVIL}</pre>."""\n    return "{EVIL}"  # </span></script>\n'
    write(root / "<img src=x onerror=hacked()>.py", code)
    write(root / "strike.js", f"function strike(x) {{\n  // {EVIL}\n  return `{EVIL}`\n}}\n")
    return root


@contextmanager
def serving(*overrides: str) -> Iterator[Server]:
    """`python -m src.serve <overrides>` on a port of its own."""
    server = open_server(read_keys("serve", ["port=0", *overrides]))
    with running(server):
        yield server


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()
