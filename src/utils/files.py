"""Files that are whole or not there: written under another name, then renamed in one step."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from src.utils.resource_errors import explaining_full_disk

PART = ".part"  # ends the name of what is being written, next to the file or folder that it will replace


@contextmanager
def replacing(
    path: Path, needed: Callable[[], int] | None = None, sync: bool = False, previous: Path | None = None
) -> Iterator[Path]:
    """The path of a file to write, which replaces `path` when the block ends without an error and is removed otherwise.

    Raises ResourceError where the disk is full; what was there is untouched then.

    Args:
        needed: the bytes of the new file, counted only when asked; None: nobody knows before it is written.
        sync: whether the file must survive a power failure from here on.
        previous: where the file that was there is kept.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")  # in the same folder, hence on the same file system
    with explaining_full_disk(path, needed):
        try:
            yield part
            if sync:
                _sync(part)
            # Killed between these two, there is no `path`, and the previous one is the last that was whole.
            if previous is not None and path.exists():
                path.replace(previous)
            part.replace(path)
            if sync and os.name == "posix":
                _sync(path.parent)  # a move survives a power failure only when its folder was written too
        finally:
            part.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, sync: bool = False) -> None:
    """Replaces a file by one with this content; text is written as UTF-8. Raises as `replacing`."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path, lambda: len(data), sync) as part:
        part.write_bytes(data)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, or half of one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remove_parts(folder: Path) -> None:
    """Removes what killed processes left half written below a folder that this process has claimed."""
    for part in folder.rglob(f".*{PART}"):
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
