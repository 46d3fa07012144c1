"""Local servers that replace remote ones inside a `with` block."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Silent(http.server.BaseHTTPRequestHandler):
    """Writes no log, which a test would capture."""

    def log_message(self, *args: object) -> None:
        pass

    def say(self, value: object, status: int = 200) -> None:
        """Answers with a value as JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """The server answers from a thread of its own; at the end both are gone."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
