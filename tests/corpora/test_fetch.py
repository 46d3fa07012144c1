"""A download against a stand-in server on loopback that breaks off, refuses, and sends the wrong file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time

import pytest

from src.corpora.fetch import Fetcher, Remote, address
from src.utils.errors import InputError
from tests.conftest import PROJECT
from tests.support.file_server import mirror_on_loopback

DATA = bytes(range(256)) * 211  # 54,016 bytes
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def mirror():
    with mirror_on_loopback() as server:
        yield server


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def fetcher(tmp_path, said) -> Fetcher:
    return Fetcher(tmp_path / "downloads", attempts=3, pause=0, timeout=5, say=said.append)


def sums(fetcher: Fetcher) -> dict:
    return json.loads((fetcher.folder / "sums.json").read_text())


def test_a_file_is_fetched_once_and_its_hash_recorded(mirror, fetcher, said):
    mirror.files["/a"] = DATA
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).read_bytes() == DATA
    assert sums(fetcher)["a.bin"]["sha256"] == SUM
    assert "as expected" in said[-1]
    fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM))
    assert len(mirror.asked) == 1  # what is there is not asked for again


def test_a_truncated_download_resumes_where_it_ended(mirror, fetcher, said):
    mirror.files["/a"], mirror.breaks["/a"] = DATA, [10_007, 20_011]
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).read_bytes() == DATA
    assert [asked for _, asked in mirror.asked] == [None, "bytes=10007-", "bytes=30018-"]
    assert "resuming at byte 30,018" in said[1]


def test_a_killed_download_resumes_where_it_ended(mirror, fetcher):
    mirror.files["/a"], mirror.breaks["/a"], mirror.hangs["/a"] = DATA, [10_007], threading.Event()
    script = (
        "import sys; from pathlib import Path; from src.corpora.fetch import Fetcher, Remote; "
        "Fetcher(Path(sys.argv[1])).fetch(Remote('a.bin', [sys.argv[2]]))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(fetcher.folder), mirror.url("/a")], cwd=PROJECT)
    part = fetcher.folder / "a.bin.part"
    while not part.exists() or part.stat().st_size < 10_007:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    mirror.hangs.pop("/a").set()
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).read_bytes() == DATA
    assert mirror.asked[-1] == ("/a", "bytes=10007-")
    assert [path.name for path in fetcher.folder.glob("*.part*")] == []


def test_a_download_that_was_whole_when_killed_is_completed(mirror, fetcher):
    mirror.files["/a"], mirror.breaks["/a"] = DATA, [10_007]
    with pytest.raises(InputError):
        Fetcher(fetcher.folder, attempts=1).fetch(Remote("a.bin", [mirror.url("/a")]))
    (fetcher.folder / "a.bin.part").write_bytes(DATA)
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).read_bytes() == DATA


def test_two_versions_of_a_file_are_not_joined(mirror, fetcher):
    mirror.files["/a"], mirror.breaks["/a"] = b"x" * 50_000, [10_007]
    with pytest.raises(InputError):
        Fetcher(fetcher.folder, attempts=1).fetch(Remote("a.bin", [mirror.url("/a")]))
    mirror.files["/a"] = DATA
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).read_bytes() == DATA


def test_a_download_starts_over_at_a_server_without_ranges(mirror, fetcher):
    mirror.files["/a"], mirror.breaks["/a"], mirror.ranges = DATA, [10_007], False
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).read_bytes() == DATA


@pytest.mark.parametrize("status", [403, 404])
def test_a_dead_link_leads_to_the_next_mirror(mirror, fetcher, said, status):
    mirror.files["/second"], mirror.statuses["/first"] = DATA, [status]
    assert fetcher.fetch(Remote("a.bin", [mirror.url(path) for path in ("/first", "/second")], SUM)).is_file()
    assert f"HTTP {status}; trying the next mirror" in said[0]
    assert len(mirror.asked) == 2  # a refusal is not asked again


def test_a_busy_server_is_asked_again(mirror, fetcher):
    mirror.files["/a"], mirror.statuses["/a"] = DATA, [503, 429]
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM)).is_file()


def test_an_unreachable_server_is_reported_in_one_line(mirror, fetcher):
    with pytest.raises(InputError, match=r"ConnectError.*; .*: HTTP 404; run") as caught:
        fetcher.fetch(Remote("a.bin", ["http://127.0.0.1:1/a", mirror.url("/nothing")]))
    assert "\n" not in str(caught.value)


def test_a_wrong_file_is_set_apart_and_not_used(mirror, fetcher):
    mirror.files["/a"], mirror.files["/b"] = DATA[:-1], DATA
    with pytest.raises(InputError, match=r"wrong file \(SHA-256 \w{12}, expected \w{12}\), kept as a.bin.wrong"):
        fetcher.fetch(Remote("a.bin", [mirror.url("/a")], SUM))
    assert (fetcher.folder / "a.bin.wrong").read_bytes() == DATA[:-1]
    assert not (fetcher.folder / "a.bin").exists()
    assert fetcher.fetch(Remote("a.bin", [mirror.url("/a"), mirror.url("/b")], SUM)).read_bytes() == DATA


def test_a_change_of_a_file_without_a_known_hash_is_refused(mirror, fetcher, said):
    mirror.files["/a"] = DATA
    path = fetcher.fetch(Remote("a.bin", [mirror.url("/a")]))
    assert "recorded in sums.json" in said[-1]
    mirror.files["/a"] = DATA[::-1]
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="wrong file"):
        fetcher.fetch(Remote("a.bin", [mirror.url("/a")]))
    assert "is there but damaged" in said[1]


def test_a_login_page_is_refused_and_not_recorded(mirror, fetcher):
    mirror.files["/a"] = b"<html>please log in</html>"
    with pytest.raises(InputError, match="not a zip archive"):
        fetcher.fetch(Remote("a.zip", [mirror.url("/a")]))
    assert not (fetcher.folder / "sums.json").exists()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a", "no address", "http://[::1/a"])
def test_an_invalid_address_is_refused_without_retries(fetcher, said, url):
    with pytest.raises(InputError, match="cannot be had"):
        fetcher.fetch(Remote("a.bin", [url]))
    assert len(said) == 1


def test_a_file_name_that_leaves_the_folder_is_refused(fetcher):
    with pytest.raises(InputError, match="plain file name"):
        fetcher.fetch(Remote("../a.bin", []))


def test_a_hub_address_is_pinned_to_a_revision():
    assert address("hf://datasets/a/b@1f2e/data/ruby.zip").endswith("/datasets/a/b/resolve/1f2e/data/ruby.zip")
    for wrong in ("hf://datasets/a/b/data/ruby.zip", "hf://datasets/a"):
        with pytest.raises(InputError, match="OWNER/NAME@REVISION"):
            address(wrong)
