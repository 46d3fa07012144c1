"""The server without a browser: what it answers, and to whom."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from src.config.direct_cli import read_keys
from src.deploy.server.server import FILES, HERE
from src.serve import open_server
from src.utils.errors import InputError, ResourceError
from tests.deploy.index.runs import indexed, write_tree
from tests.deploy.server.served import EVIL, ask, evil_tree, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    evil_tree(write_tree(folder / "tree"))
    indexed(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serving(f"index={folder / 'index'}") as server:
        yield server


def test_the_page_loads_nothing_from_elsewhere_and_inserts_no_html() -> None:
    for name, _ in FILES.values():
        text = (HERE / name).read_text()
        assert not re.search(
            r"https?://|\bimport\b.*from|innerHTML|insertAdjacentHTML|document\.write|\beval\(", text
        ), name


def test_answers_are_those_of_the_index(server) -> None:
    status, headers, body = ask(server, "/api/search?q=send+packet&top=2&lang=python&path=net/*")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    [answer] = json.loads(body)["answers"]
    [hit] = answer["hits"]
    assert (hit["name"], hit["line"], len(hit["copies"])) == ("send_packet", 1, 1)
    assert "".join(text for _, text in hit["code"]).rstrip() == (
        'def send_packet(socket):\n    """Send one packet."""\n    socket.send(b"x")'
    )
    assert ["keyword", "def"] in hit["code"]
    about = json.loads(ask(server, "/api/about")[2])["indexes"]
    assert about[0]["languages"] == {"python": 5, "javascript": 3, "go": 1}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_only_requests_to_this_machines_own_address_are_served(server, host) -> None:
    for path in ("/", "/api/about", "/api/search?q=file"):
        status, _, body = ask(server, path, Host=host.format(port=server.server_port))
        assert (status, body) == (403, "this page is served to this machine only")
    assert ask(server, "/", Host=f"localhost:{server.server_port}")[0] == 200


def test_every_answer_has_the_headers_that_keep_scripts_out(server) -> None:
    for path in ("/", "/page.js", "/api/search?q=file", "/api/search?q=", "/file?index=0&row=0", "/nothing"):
        headers = ask(server, path)[1]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(server, "/", "POST")[0] == 501
    assert ask(server, "/../src/serve.py")[0] == ask(server, "/page.html")[0] == 404


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("q=", "expected a query in words"), ("q=%ff%00", "expected a query in words"),
        ("q=file&lang=rust", "expected lang="), ("q=file&top=0", "expected top=1"), ("q=file&top=x", "a number in top"),
        ("q=file&top=99999999999", "a number in top"), ("q=file&fusion=both", "expected fusion="),
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_with_status_400_and_the_reason(server, path, message) -> None:
    status, _, body = ask(server, f"/api/search?{path}")
    assert status == 400
    assert message in json.loads(body)["error"]


def test_a_file_is_shown_as_escaped_text_and_a_wrong_row_is_not_found(server, folder) -> None:
    [answer] = json.loads(ask(server, f"/api/search?q={quote('strike')}&lang=python&top=1")[2])["answers"]
    status, _, page = ask(server, answer["hits"][0]["open"].partition("#")[0])
    assert status == 200
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;hacked()" in page
    assert '<span class="line own" id="L3"><i>3</i>' in page
    assert EVIL not in page
    for wrong in ("row=999", "row=-1", "row=x", "", "index=7&row=0"):
        status, _, page = ask(server, f"/file?{wrong}")
        assert status == 404
        assert 'role="alert"' in page


def test_a_taken_port_and_invalid_options_are_refused(server, folder) -> None:
    def started(*overrides: str) -> None:
        open_server(read_keys("serve", [f"index={folder / 'index'}", *overrides]))

    with pytest.raises(ResourceError, match=rf"port {server.server_port} is taken: give another"):
        started(f"port={server.server_port}")
    with pytest.raises(InputError, match=r"host: expected 127\.0\.0\.1, localhost or ::1"):
        started("host=0.0.0.0")
    with pytest.raises(InputError, match="port: expected a whole number of 0 or more and below 65536, found 'web'"):
        started("port=web")
    with pytest.raises(InputError, match="expected the index to serve"):
        started("index=null")
