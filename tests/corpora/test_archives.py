"""Archives are read, never unpacked: what a member is called must not decide where anything is written."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from src.corpora.archives import members
from src.utils.errors import InputError

LINES = b"one\ntwo\n"


def pack(path: Path, **files: bytes) -> Path:
    """A zip or tar with `files`, by the suffix."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def read(path: Path) -> dict[str, list[bytes]]:
    return {name: list(lines) for name, lines in members(path, lambda name: "b" in name)}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_every_wanted_member_is_read(tmp_path, suffix):
    packed = pack(tmp_path / f"x{suffix}", **{"a/b.txt": LINES, "a/b.gz": gzip.compress(LINES), "a/c.pkl": b"\x80"})
    assert read(packed) == {"a/b.txt": [b"one\n", b"two\n"], "a/b.gz": [b"one\n", b"two\n"]}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("name", ["../b.txt", "a/../../b.txt", "/b.txt", "..\\b.txt", "C:/b.txt"])
def test_a_member_that_leaves_the_archive_is_refused(tmp_path, suffix, name):
    folder = tmp_path / "in"
    folder.mkdir()
    packed = pack(folder / f"x{suffix}", **{name: LINES, "b.txt": LINES})
    with pytest.raises(InputError, match="which leaves it: nothing was read"):
        read(packed)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [packed]


def test_the_name_inside_a_gzip_file_is_ignored(tmp_path):
    packed = io.BytesIO()
    with gzip.GzipFile("../../b.txt", "wb", fileobj=packed) as stream:
        stream.write(LINES)
    path = pack(tmp_path / "x.zip", **{"b.gz": packed.getvalue()})
    assert read(path) == {"b.gz": [b"one\n", b"two\n"]}
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_a_tar_is_not_followed(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("b.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    assert read(path) == {}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_damaged_archive_is_refused(tmp_path, suffix):
    path = pack(tmp_path / f"x{suffix}", **{"b.gz": gzip.compress(bytes(range(256)) * 99)})
    damaged = bytearray(path.read_bytes())
    damaged[60:90] = b"?" * 30
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="remove the file and run the command again"):
        read(path)


def test_a_web_page_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"<html>")
    with pytest.raises(InputError, match="expected a zip or tar archive"):
        read(path)
