"""A local file server that interrupts, delays and refuses downloads, and records requests."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.local_servers import Silent, running


class Mirror(http.server.ThreadingHTTPServer):
    """Serves `files` by path; `breaks[path]` has the numbers of bytes after which responses are interrupted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.breaks: dict[str, list[int]] = {}
        self.statuses: dict[str, list[int]] = {}  # answered first
        self.ranges = True
        self.hangs: dict[str, threading.Event] = {}  # after what was broken off
        self.asked: list[tuple[str, str | None]] = []  # path, Range

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Answers(Silent):
    server: Mirror

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.path, asked))
        data = server.files.get(self.path)
        if status := server.statuses.get(self.path):
            return self.send_error(status.pop(0))
        if data is None:
            return self.send_error(404)
        mark = f'"{hashlib.md5(data).hexdigest()}"'
        start = 0
        if asked and server.ranges and self.headers.get("If-Range") == mark:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", mark)
        self.end_headers()
        breaks = server.breaks.get(self.path)
        self.wfile.write(data[start : start + breaks.pop(0)] if breaks else data[start:])
        if self.path in server.hangs:
            server.hangs[self.path].wait(20)


@contextmanager
def mirror_on_loopback() -> Iterator[Mirror]:
    server = Mirror()
    with running(server):
        yield server
