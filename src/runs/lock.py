"""One process at a time in the directory of a run or a sweep; the system frees the lock when its process ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from src.runs.directory import relative
from src.utils.errors import ResourceError

LOCK = ".lock"
_claimed: dict[Path, FileLock] = {}  # as long as this process lives


def claim(folder: Path, timeout: float = 0) -> bool:
    """Keeps every other process out of a directory, for as long as this one lives; False where one is in it.

    Args:
        timeout: seconds to wait for the other one's end.
    """
    folder = folder.resolve()
    if folder in _claimed:
        return True
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=timeout)
    except (Timeout, OSError):
        return False
    _claimed[folder] = lock
    return True


def release(folder: Path) -> None:
    if (lock := _claimed.pop(folder.resolve(), None)) is not None:
        lock.release()


@contextmanager
def claimed(folder: Path, timeout: float = 0, advice: str = "nothing of it was touched") -> Iterator[None]:
    """Claims a folder for the block. Raises ResourceError, which ends with `advice`, where another process has it."""
    if not claim(folder, timeout):
        raise ResourceError(f"another process is at work in {relative(folder)}: {advice}")
    try:
        yield
    finally:
        release(folder)


def is_claimed(folder: Path) -> bool:
    """Whether a living process has claimed the directory."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
