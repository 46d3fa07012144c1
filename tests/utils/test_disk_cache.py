"""The cache: made once, whole or not at all, found by content."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from src.utils.disk_cache import ABOUT, Cache, damage, key_of
from src.utils.errors import InputError, ResourceError
from tests.conftest import PROJECT
from tests.support.commands import direct

main = direct("cache")

RACE = """
import sys, time
from pathlib import Path
from src.utils.disk_cache import Cache

root, start = Path(sys.argv[1]), Path(sys.argv[2])
def make(folder):
    with (root / "made.log").open("a") as log:
        log.write("made\\n")
    time.sleep(0.3)  # long enough for every other process to ask meanwhile
    (folder / "data.bin").write_bytes(bytes(range(256)) * 1000)
    return {"number": 7}
print("ready", flush=True)
while not start.exists():
    time.sleep(0.01)
entry = Cache(root).get("things", {"what": "race"}, make)
assert (entry.path / "data.bin").read_bytes() == bytes(range(256)) * 1000
assert entry.facts == {"number": 7}
"""


def write(text: str):
    def make(folder: Path) -> dict:
        (folder / "data.txt").write_text(text)
        return {"length": len(text)}

    return make


def refuse(folder: Path) -> None:
    raise AssertionError("made again")


def test_the_same_content_is_made_once(tmp_path):
    first = Cache(tmp_path).get("things", {"a": 1, "b": [2, 3]}, write("hello"))
    again = Cache(tmp_path).get("things", {"b": [2, 3], "a": 1}, refuse)
    assert (first.why, again.why) == ("none was made yet", "")
    assert (again.path / "data.txt").read_text() == "hello"
    assert again.facts == {"length": 5}
    assert again.made


def test_other_content_gets_an_entry_of_its_own_with_the_reason(tmp_path):
    cache = Cache(tmp_path)
    cache.get("things", {"corpus": "x", "seed": 1}, write("one"))
    other = cache.get("things", {"corpus": "x", "seed": 2}, write("two"))
    assert (other.path / "data.txt").read_text() == "two"
    assert other.why == "those made before have another seed"
    both = cache.get("things", {"corpus": "y", "seed": 3}, write("three"))
    assert both.why == "those made before have another corpus and another seed"


def test_eight_processes_make_one_entry_once(tmp_path):
    start = tmp_path / "start"
    command = [sys.executable, "-c", RACE, str(tmp_path), str(start)]
    processes = [
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    start.touch()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert (tmp_path / "made.log").read_text().splitlines() == ["made"]


@pytest.mark.parametrize("name", ["data.txt", ABOUT])
@pytest.mark.parametrize("how", ["one bit", "cut", "gone"])
def test_a_damaged_file_is_made_again(tmp_path, name, how):
    entry = Cache(tmp_path).get("things", {"a": 1}, write("hello"))
    file = entry.path / name
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:3] + bytes([content[3] ^ 1]) + content[4:] if how == "one bit" else content[:-3])
    assert damage(entry.path)
    again = Cache(tmp_path).get("things", {"a": 1}, write("hello"))
    assert str(file) in again.why
    assert "damaged" in again.why
    assert file.read_bytes() == content or name == ABOUT
    assert not damage(entry.path)


def test_a_failed_making_leaves_no_entry(tmp_path):
    def fail(folder: Path) -> None:
        (folder / "data.txt").write_text("half")
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        Cache(tmp_path).get("things", {"a": 1}, fail)
    assert not list(Cache(tmp_path).entries())
    assert [path.name for path in (tmp_path / "things").iterdir()] == [f".{key_of({'a': 1})}.lock"]


def test_the_remains_of_a_killed_process_are_removed(tmp_path):
    stale = tmp_path / "things" / f".{key_of({'a': 1})}.part"
    stale.mkdir(parents=True)
    (stale / "data.txt").write_text("half")
    entry = Cache(tmp_path).get("things", {"a": 1}, write("whole"))
    assert (entry.path / "data.txt").read_text() == "whole"
    assert not stale.exists()


def test_an_interrupted_making_resumes_and_can_be_removed(tmp_path, capsys):
    def interrupted(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    def going_on(folder: Path) -> None:
        assert (folder / "half.txt").read_text() == "half"

    cache, made_from = Cache(tmp_path), {"a": 1}
    with pytest.raises(KeyboardInterrupt):
        cache.get("things", made_from, interrupted, resumable=True)
    assert not list(cache.entries())
    assert main([f"root={tmp_path}"]) == 0
    assert "unfinished" in capsys.readouterr().out
    assert main(["clear", key_of(made_from), f"root={tmp_path}"]) == 0
    assert "removed 1 of 1" in capsys.readouterr().out
    assert not list(cache.unfinished())
    with pytest.raises(KeyboardInterrupt):
        cache.get("things", made_from, interrupted, resumable=True)
    entry = cache.get("things", made_from, going_on, resumable=True)
    assert set(json.loads((entry.path / ABOUT).read_text())["files"]) == {"half.txt"}
    assert not list(cache.unfinished())


def test_a_job_that_waits_says_so(tmp_path):
    (tmp_path / "things").mkdir()
    held, said, free = threading.Event(), [], threading.Event()

    def hold() -> None:
        with FileLock(tmp_path / "things" / f".{key_of({'a': 1})}.lock"):
            held.set()
            free.wait(10)

    def waiting() -> None:
        said.append("waiting")
        free.set()

    other = threading.Thread(target=hold)
    other.start()
    held.wait(10)
    Cache(tmp_path).get("things", {"a": 1}, write("hello"), waiting=waiting)
    other.join()
    assert said == ["waiting"]


def test_a_cache_that_cannot_be_written_is_refused_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cache=DIR"):
        Cache(tmp_path / "file" / "cache").get("things", {"a": 1}, write("hello"))


# The command


def test_an_empty_cache_is_no_error(tmp_path, capsys):
    assert main([f"root={tmp_path / 'none'}"]) == 0
    assert "nothing cached" in capsys.readouterr().out


def test_the_list_shows_every_entry_and_its_damage(tmp_path, capsys):
    cache = Cache(tmp_path)
    whole = cache.get("things", {"a": 1}, write("hello"), about="a thing [of mine]")
    broken = cache.get("others", {"a": 2}, write("hello"))
    (broken.path / "data.txt").write_text("jello")
    assert main([f"root={tmp_path}"]) == 0
    shown = capsys.readouterr().out
    for word in ("things", "others", whole.path.name, broken.path.name, "[of mine]", "damaged"):
        assert word in shown
    assert shown.count("damaged") == 1


def test_clear_removes_only_the_given_entry(tmp_path, capsys):
    cache = Cache(tmp_path)
    one, two = (cache.get("things", {"a": a}, write("hello")) for a in (1, 2))
    assert main(["clear", one.path.name, f"root={tmp_path}"]) == 0
    assert [path.name for path in cache.entries()] == [two.path.name]
    assert main(["clear", f"root={tmp_path}"]) == 0
    assert not list(cache.entries())
    assert main(["clear", "nothing", f"root={tmp_path}"]) == 2
    assert "no entry and no kind nothing" in capsys.readouterr().err


def test_clear_leaves_an_entry_that_a_job_is_making(tmp_path, capsys):
    entry = Cache(tmp_path).get("things", {"a": 1}, write("hello"))
    with FileLock(entry.path.parent / f".{entry.path.name}.lock"):
        assert main(["clear", f"root={tmp_path}"]) == 2
    assert entry.path.exists()
    assert "running job" in capsys.readouterr().err


def test_the_description_of_an_entry_is_readable(tmp_path):
    entry = Cache(tmp_path).get("things", {"a": 1}, write("hello"), about="a thing")
    about = json.loads((entry.path / ABOUT).read_text())
    assert about["about"] == "a thing"
    assert about["made_from"] == {"a": 1}
    assert set(about["files"]) == {"data.txt"}


@pytest.mark.parametrize("place", [".{}.part", "{}"])
@pytest.mark.parametrize("resumable", [False, True])
def test_a_link_in_the_cache_is_not_followed(tmp_path, place, resumable):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "data.txt").write_text("mine")
    link = tmp_path / "cache" / "things" / place.format(key_of({"a": 1}))
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    entry = Cache(tmp_path / "cache").get("things", {"a": 1}, write("hello"), resumable=resumable)
    assert (entry.path / "data.txt").read_text() == "hello"
    assert not entry.path.is_symlink()
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("data.txt", "mine")]


def test_an_entry_that_vanishes_while_it_is_checked_counts_as_damaged(tmp_path, monkeypatch):
    entry = Cache(tmp_path).get("things", {"a": 1}, write("hello"))

    def vanished(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr("src.utils.disk_cache.sha256", vanished)
    assert damage(entry.path) == f"{entry.path / 'data.txt'} is damaged"
