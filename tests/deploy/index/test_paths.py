"""Patterns of files, and what became of a file."""

from __future__ import annotations

import pytest

from src.deploy.index.searcher import matcher
from src.deploy.index.store import Place


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("*.py", True), ("*.go", False), ("src/*.py", True), ("lib/src/*", True), ("rc/*.py", False),
        ("src/a.py", True), ("net", True), ("net/", True), ("nets/", False), ("/home/lib/*", True), ("/lib/*", False),
        ("*/net/?.py", False),
    ],
)  # fmt: skip
def test_a_pattern_matches_the_paths_that_it_describes(pattern, matches) -> None:
    path = "src/a.py" if "net" not in pattern else "src/net/up.py"
    assert matcher([pattern])("/home/lib", path) is matches
    assert matcher(["*.nothing", pattern])("/home/lib", path) is matches


def test_without_a_pattern_every_path_matches() -> None:
    assert matcher([])("/home/lib", "a.py")


def test_a_file_that_has_changed_or_is_gone_is_recognised(tmp_path, monkeypatch) -> None:
    file = tmp_path / "a" / "b.py"
    file.parent.mkdir()
    file.write_text("x")
    stat = file.stat()
    place = Place(str(tmp_path), "a/b.py", "python", "f", 1, 2, str(stat.st_mtime_ns), stat.st_size)
    monkeypatch.chdir(tmp_path)
    assert place.shown == "a/b.py"
    assert place.state() == ""
    file.write_text("xy")
    assert place.state() == "changed"
    file.unlink()
    assert place.state() == "gone"
