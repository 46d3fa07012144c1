"""Checkpoint files that are whole or not there: written under another name, summed, then renamed (docs/faults.md).

A checkpoint is torch's zip archive; the SHA-256 of all bytes before it is the archive's comment, which a rename moves
into place with the rest and every other tool reads over. Archives without a comment are read as they are.
"""

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import torch

from src.utils.errors import first_line
from src.utils.files import replacing

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
    whole = replacing(path, lambda: size_of(checkpoint), sync=True, previous=previous(path))
    with whole as part, part.open("w+b") as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError:
            file.write(bytes(2**16))  # raises what torch does not say, where the disk is full
            file.flush()
            raise
        file.seek(-2, os.SEEK_END)  # the length of the archive's comment, 0 as torch writes it
        file.write(SUM.to_bytes(2, "little"))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256")
        file.write(LABEL + digest.hexdigest().encode())


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


def size_of(checkpoint: dict[str, Any]) -> int:
    """Bytes of the checkpoint's file."""
    file = io.BytesIO()
    torch.save(checkpoint, file)
    return file.tell() + SUM
