"""The dashboard: every panel reaches the server, is documented, and shows what runs log."""

from __future__ import annotations

import builtins
import json

import pytest

from src.dashboard import COLUMNS, PANELS
from tests.conftest import PROJECT
from tests.support.commands import run_command

TITLES = [panel.title for panels in PANELS.values() for panel in panels]
KEYS = {key for panels in PANELS.values() for panel in panels for key in panel.keys}


def test_every_panel_reaches_the_server(server, tmp_path):
    result = run_command("dashboard", tmp_path, "project=project", "name=Mine")
    assert result.status == 0, result.errors
    space, report = server.views
    assert [view["displayName"] for view in server.views] == ["Mine", "Mine"]
    assert [line.split()[0] for line in result.output.splitlines()] == ["workspace", "report"]
    for view in (space, report):
        assert view["projectName"] == "project"
        drawn = json.dumps(json.loads(view["spec"]))
        tables = {panel.title for panels in PANELS.values() for panel in panels if panel.kind == "table"}
        assert [title for title in TITLES if title not in tables and title not in drawn] == []
        assert [key for key in KEYS if key not in drawn] == []
    assert [key for key in COLUMNS if key not in space["spec"]] == []


@pytest.mark.parametrize(
    ("fails", "said"),
    [("500", "answers with HTTP 500"), ("hang", "no answer from"), ("401", "does not accept the key")],
)
def test_a_broken_server_is_reported_in_one_line(fails, said, server, tmp_path):
    server.fails = fails
    result = run_command("dashboard", tmp_path, "timeout=2")
    assert result.status == 2
    assert (result.errors.count("\n"), said in result.errors) == (1, True), result.errors


def test_a_missing_key_a_missing_extra_and_offline_mode_are_refused_with_a_hint(server, tmp_path, monkeypatch):
    found = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("wandb_workspaces"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", absent)
        result = run_command("dashboard", tmp_path)
    assert (result.status, "pip install -e '.[dashboard]'" in result.errors) == (2, True)
    monkeypatch.setattr("src.dashboard.has_key", lambda: False)
    result = run_command("dashboard", tmp_path)
    assert (result.status, "found no key: wandb login" in result.errors) == (2, True)
    monkeypatch.setenv("WANDB_MODE", "offline")
    result = run_command("dashboard", tmp_path)
    assert (result.status, "found WANDB_MODE=offline" in result.errors) == (2, True)
    assert server.views == []


def test_every_panel_is_documented():
    text = (PROJECT / "docs" / "wandb.md").read_text(encoding="utf-8")
    assert [title for title in [*PANELS, *TITLES] if title not in text] == []
    assert [key for key in KEYS if f"`{key}`" not in text] == []
