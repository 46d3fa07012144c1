"""A push to a stand-in of the hub on loopback."""

from __future__ import annotations

import base64
import http.server
import json

import pytest

from src.export import check_name, push
from src.utils.errors import InputError
from tests.support.local_servers import Silent, running


class StandIn(Silent):
    """Creates repositories, wants every file inline, and keeps what was committed."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = self.server
        server.asked.append(self.path)
        if server.broken:
            return self.send_error(503)
        if self.path == "/api/repos/create":
            server.created.append(json.loads(body))
            return self.say({"url": f"{server.url}/me/model", "id": "me/model", "name": "me/model"})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]
            return self.say({"files": modes, "commitOid": "0" * 40})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self.say(
                {
                    "success": True,
                    "commitOid": "1" * 40,
                    "commitUrl": f"{server.url}/me/model/commit/1",
                    "hookOutput": "",
                }
            )
        return self.say({"errors": [], "warnings": []})  # validate-yaml

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.say({"id": "me/model", "sha": "0" * 40, "siblings": [], "tags": [], "private": True})


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.asked, server.created, server.files, server.broken = [], [], {}, False
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_not_a_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with running(server):
        yield server


@pytest.fixture
def folder(tmp_path):
    files = {
        "README.md": "---\ntags: []\n---\n# A model\n",
        "1_Pooling/config.json": "{}",
        "model.safetensors": "\0" * 99,
    }
    for name, text in files.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "out"


@pytest.mark.filterwarnings("ignore")
def test_a_push_uploads_exactly_the_folder_to_a_private_repository(stand_in, folder):
    url = push(folder, "me/model", private=True)
    assert url.endswith("/me/model")
    created = stand_in.created[0]
    assert created.get("private") or created.get("visibility") == "private"  # before and since version 1
    assert stand_in.created[0]["name"] == "model"
    assert stand_in.files == {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.filterwarnings("ignore")
def test_a_failed_push_keeps_the_export_and_names_the_upload_command(stand_in, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"the export in .* is complete, but push=me/model failed") as told:
        push(folder, "me/model", private=True)
    assert f"hf upload me/model {folder}" in str(told.value)
    assert "hf_not_a_token" not in str(told.value)
    assert not stand_in.asked
    assert (folder / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["model", "a/b/c", "me/mo del", "../x/y", ""])
def test_a_name_that_the_hub_does_not_take_is_refused(name):
    with pytest.raises(InputError, match="push expects owner/name of the hub"):
        check_name(name)
