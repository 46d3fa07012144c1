"""Checkpoint files that are whole or not there: written beside their place, summed, then moved into it.

checkpoints/last.ckpt            where training stands; best.ckpt: the weights of the epoch that is kept
checkpoints/last.previous.ckpt   the one before, until training has finished: what is used where last.ckpt is damaged
checkpoints/.last.ckpt.part      one that is being written, or was when its process died

A checkpoint is torch's zip archive; the SHA-256 of all bytes before it is the archive's comment, so that it travels
with the file and every other tool still reads it. Plain archives, without a comment, are read as they are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from src.utils.errors import first_line
from src.utils.resource_errors import PART, explaining_full_disk

LABEL = b"SHA-256 "
SUM = len(LABEL) + 64  # bytes of the comment
END = b"PK\x05\x06"  # begins the archive's last record, 22 bytes; the last two say how long the comment is


class DamagedError(Exception):
    """A checkpoint that is not what was written; the message says how it is known."""


def write(checkpoint: dict[str, Any], path: Path) -> None:
    """Replaces `path` in one step, and keeps the file that was there as the previous one.

    Raises ResourceError where the disk is full; what was there is untouched then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    with explaining_full_disk(path, lambda: size_of(checkpoint)), discarded(part):
        with part.open("wb") as file:
            summed = _Summed(file)
            try:
                torch.save(checkpoint, summed)
            except RuntimeError as error:
                if summed.failed is None:
                    raise
                raise summed.failed from error  # torch says no more than that a write failed
            summed.finish()
            file.flush()
            os.fsync(file.fileno())
        # Killed between these two, there is no `path`, and the previous one is the last that was whole.
        if path.exists():
            path.replace(previous(path))
        part.replace(path)
        sync_folder(path.parent)


def read(path: Path) -> dict[str, Any]:
    """What was written there: tensors and plain values, nothing in it is executed.

    Raises DamagedError where it is missing, empty, cut off or changed.
    """
    check(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle with code in it, something else altogether
        raise DamagedError(first_line(error)) from error


def check(path: Path) -> None:
    """Raises DamagedError where the file is not what was written."""
    try:
        size = path.stat().st_size
        if size == 0:
            raise DamagedError("it is empty")
        with path.open("rb") as file:
            file.seek(max(0, size - SUM))
            comment = file.read()
            if not comment.startswith(LABEL):
                if comment[-22:-18] == END and comment[-2:] == b"\0\0":  # as torch.save writes it: there is no sum
                    return
                raise DamagedError("its end is missing or changed")
            file.seek(0)
            digest, left = hashlib.sha256(), size - SUM
            while left and (block := file.read(min(left, 2**20))):
                digest.update(block)
                left -= len(block)
    except OSError as error:
        raise DamagedError(error.strerror or type(error).__name__) from error
    if comment != LABEL + digest.hexdigest().encode():
        raise DamagedError("its SHA-256 is not the one that was written with it")


def previous(path: Path) -> Path:
    """The checkpoint before the one at `path`."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def part_of(path: Path) -> Path:
    """Where a file is written before it is moved to `path`; the same folder, hence the same file system."""
    return path.with_name(f".{path.name}.{os.getpid()}{PART}")


@contextmanager
def discarded(part: Path) -> Iterator[None]:
    """Leaves nothing half written behind, whatever ends the block; a kill is tidied up by the run that goes on."""
    try:
        yield
    finally:
        part.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Removes what killed processes left half written in a folder that this process has claimed."""
    for part in folder.rglob(f".*{PART}"):
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A move survives a power failure only when its folder was written too."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def size_of(checkpoint: dict[str, Any]) -> int:
    """Bytes of the checkpoint's file."""
    counted = _Counted()
    torch.save(checkpoint, counted)
    return counted.size + SUM


class _Counted:
    """A file that keeps nothing but its size."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass


class _Summed:
    """Passes on what is written, a little behind, so that the sum and the comment's length can be put at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.failed: OSError | None = None
        self._held = b""  # the last two bytes: the length of the comment, 0 as torch writes it

    def write(self, data: Any) -> int:
        view = memoryview(data)  # storages of gigabytes: not copied
        if len(view) < 2:
            view = memoryview(self._held + bytes(view))
        else:
            self._pass_on(self._held)
        self._pass_on(view[:-2])
        self._held = bytes(view[-2:])
        return len(data)

    def flush(self) -> None:
        pass

    def finish(self) -> None:
        self._pass_on(SUM.to_bytes(2, "little"))
        self.file.write(LABEL + self.digest.hexdigest().encode())

    def _pass_on(self, data: bytes | memoryview) -> None:
        try:
            self.file.write(data)
        except OSError as error:
            self.failed = error
            raise
        self.digest.update(data)
