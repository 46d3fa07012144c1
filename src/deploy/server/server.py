"""The search page over HTTP, for this machine only, with headers that block any other content."""

import errno
import json
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

from src.config.choices import Host
from src.deploy.server.answers import Answers
from src.pages import render
from src.utils.errors import InputError, ResourceError, UserError

HERE = Path(__file__).parent
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    # Scripts and styles come from the files above only; indexed code is shown as text and never run.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Raises ResourceError where the port is taken. `host` names this machine, see `Host`."""

    daemon_threads = True

    def __init__(self, answers: Answers, host: str, port: int) -> None:
        self.answers = answers
        self.address_family = AF_INET6 if host == "::1" else AF_INET
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ResourceError(
                    f"port {port} is taken: give another, port={port + 1}, or port=0 for any"
                ) from error
            raise InputError(f"port {port} cannot be served ({error.strerror}): give another") from error
        # Another site whose name resolves to this machine (DNS rebinding) sends its own name as the host.
        self.own_hosts = {f"{f'[{name}]' if ':' in name else name}:{self.server_port}" for name in get_args(Host)}
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers GET requests only."""

    server: Server
    server_version, sys_version = "search", ""

    def do_GET(self) -> None:
        if self.headers.get("Host", "").lower() not in self.server.own_hosts:
            return self._send(HTTPStatus.FORBIDDEN, b"this page is served to this machine only", "text/plain")
        url = urlsplit(self.path)
        asked = dict(parse_qsl(url.query, keep_blank_values=True, errors="replace"))
        if url.path in FILES:
            name, kind = FILES[url.path]
            return self._send(HTTPStatus.OK, (HERE / name).read_bytes(), kind)
        try:
            if url.path == "/api/about":
                return self._json(HTTPStatus.OK, self.server.answers.about())
            if url.path == "/api/search":
                return self._json(HTTPStatus.OK, self.server.answers.search(asked))
            if url.path == "/file":
                return self._page(HTTPStatus.OK, self.server.answers.file(asked), "")
        except UserError as error:
            if url.path == "/file":
                return self._page(HTTPStatus.NOT_FOUND, None, str(error))
            return self._json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        return self._send(HTTPStatus.NOT_FOUND, b"nothing here", "text/plain")

    def _json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _page(self, status: HTTPStatus, file: dict[str, Any] | None, error: str) -> None:
        page = render(HERE / "file.html", file=file, error=error)
        self._send(status, page.encode("utf-8", "replace"), "text/html; charset=utf-8")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Logs nothing: queries are private."""
