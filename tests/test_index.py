"""An index as a user types it."""

from __future__ import annotations

import pytest

from tests.corpora.harvester.trees import write
from tests.deploy.index.runs import write_run, write_tree
from tests.support.commands import run_command


def index(folder, *overrides: str):
    return run_command("index", folder / "log", f"out={folder / 'index'}", "workers=0", *overrides)


def test_an_index_says_what_it_did(tmp_path) -> None:
    run, tree = write_run(tmp_path / "run"), write_tree(tmp_path / "tree")
    write(tree / "binary.py", b"\0")
    first = index(tmp_path, f"run={run}", f"roots=[{tree}]")
    assert first.status == 0, first.errors
    assert "7 functions, 6 distinct, of 6 files" in first.output
    assert "6 embedded, 0 unchanged, 0 removed" in first.output
    assert "1 binary files" in first.output
    (tree / "files.py").unlink()
    again = index(tmp_path)  # the same roots and model
    assert again.status == 0, again.errors
    assert "0 embedded, 4 unchanged, 2 removed" in again.output


def test_folders_that_cannot_be_listed_are_reported(tmp_path, monkeypatch) -> None:
    run, tree = write_run(tmp_path / "run"), write_tree(tmp_path / "tree")
    listing = __import__("os").scandir

    def refused(path):
        if str(path).endswith("net"):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)

    monkeypatch.setattr("os.scandir", refused)
    result = index(tmp_path, f"run={run}", f"roots=[{tree}]")
    assert result.status == 0, result.errors
    assert f"{tree / 'net'}: change the permissions of these folders" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("out=null",), "expected the index's folder in out=INDEX"), ((), "no model: expected run=DIR"),
        (("run=RUN",), "expected the folders to index in roots=[DIR,...], found none"),
        (("run=RUN", "roots=[nowhere]"), "found nowhere: nothing there"),
        (("run=RUN", "roots=[TREE,TREE/net]"), "net lies inside"),
        (("run=RUN", "roots=[RUN]"), "expected sources (*.py"),
        (("run=RUN", "roots=[TREE]", "skip=[test]"), "did you mean 'tests'"),
        (("run=RUN", "roots=[TREE]", "workers=-1"), "workers: expected a whole number of 0 or more"),
        (("run=FAILED", "roots=[TREE]"), "did not finish (failed)"),
        (("run=RUN", "root=TREE"), "did you mean 'roots'"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_status_two_and_one_line(tmp_path, overrides, message) -> None:
    names = {"RUN": write_run(tmp_path / "run"), "FAILED": write_run(tmp_path / "failed", status="failed")}
    names["TREE"] = write_tree(tmp_path / "tree")
    for name, path in names.items():
        overrides = [override.replace(name, str(path)) for override in overrides]
    result = index(tmp_path, *overrides)
    assert result.status == 2
    assert message in result.errors
    assert len(result.errors.splitlines()) == 1
    assert not (tmp_path / "index" / "manifest.json").exists()
