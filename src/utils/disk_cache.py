"""The cache of what is expensive and always the same; `python -m src.cache` lists and clears it.

root/<kind>/<key>/         one entry: its files, and about.json (what it was made from, when, SHA-256 of every file)
root/<kind>/.<key>.part/   one that is being made, or was when its process died
root/<kind>/.<key>.lock    held by the process that makes or removes the entry; the system frees it when that dies

An entry is found by what it was made from, a version number of the code among that, which is raised by hand. It appears
in one step, whole, and is checked against its sums whenever a process first uses it.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from src.utils.errors import ResourceError, UserError
from src.utils.files import PART, read_json
from src.utils.resource_errors import explaining_full_disk

log = logging.getLogger(__name__)

DEFAULT_ROOT = Path("outputs/cache")  # conf/train.yaml: cache
ABOUT = "about.json"


class NotWritableError(ResourceError):
    """The cache's folder cannot be written."""


@dataclass(frozen=True)
class Entry:
    """What was asked for; `why` says why it had to be made, and is empty where it was found."""

    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)  # what the maker returned
    made: str = ""  # time of making, local
    why: str = ""


class Cache:
    """Entries below one folder, shared by every job that names it."""

    def __init__(self, root: str | Path = DEFAULT_ROOT) -> None:
        self.root = Path(root)
        self._checked: set[Path] = set()  # a sum over gigabytes is taken once per process

    def get(
        self,
        kind: str,
        made_from: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, Any] | None],
        about: str = "",
        waiting: Callable[[], None] = lambda: None,
        making: Callable[[str], None] = lambda why: None,
        resumable: bool = False,
    ) -> Entry:
        """The entry that was made from this, made now if there is none or if a file of it is damaged.

        Of several processes that ask for the same entry one makes it and the others wait.

        Args:
            kind: the folder of entries of one sort.
            made_from: plain values that decide the content; their hash is the key.
            make: writes the files into the folder that it is given; what it returns is kept as the entry's facts.
            about: a line for people.
            waiting: called when another process is making the entry.
            making: called with the reason before `make`.
            resumable: whether `make` resumes in the folder of one that was interrupted; else it gets an empty one.

        Raises:
            NotWritableError: the folder cannot be written. Whatever `make` raises; nothing is kept then.
        """
        folder = self.root / kind / key_of(made_from)
        if (found := self._whole(folder)) is not None:
            return found
        with self._locked(folder, waiting):
            if (found := self._whole(folder)) is not None:  # made while this process waited
                return found
            why = self._why(folder, made_from)
            making(why)
            part = part_of(folder)  # what is there was left by a process that was killed: we hold the lock
            if not resumable or part.is_symlink():
                removed(part)
            part.mkdir(exist_ok=True)
            try:
                with explaining_full_disk(part):
                    facts = dict(make(part) or {})
                description = _description(part, about, made_from, facts)
                (part / ABOUT).write_text(json.dumps(description, indent=2) + "\n")
                removed(folder)
                part.rename(folder)
            except BaseException as error:
                if not resumable or isinstance(error, UserError):  # which the next one would meet as well
                    removed(part)
                raise
            self._checked.add(folder)
            return Entry(folder, facts, description["made"], why)

    def entries(self) -> Iterator[Path]:
        """The folders of all entries, by kind and key."""
        yield from sorted(path.parent for path in self.root.glob(f"*/[!.]*/{ABOUT}"))

    def unfinished(self) -> Iterator[Path]:
        """Where entries will be that a job is making now, or left half made."""
        yield from sorted({path.parent / path.name[1:].partition(PART)[0] for path in self.root.glob(f"*/.*{PART}")})

    def clear(self, folder: Path) -> bool:
        """Removes an entry and what is unfinished of it; False where a process is making it now."""
        try:
            with FileLock(_lock(folder), timeout=0):
                for path in (folder, part_of(folder)):
                    removed(path)
        except Timeout:
            return False
        return True

    def _whole(self, folder: Path) -> Entry | None:
        """The entry if it is there and undamaged."""
        about = read_about(folder)
        if not about or (folder not in self._checked and _damage(folder, about)):
            return None
        self._checked.add(folder)
        return Entry(folder, about["facts"], about["made"])

    def _why(self, folder: Path, made_from: Mapping[str, Any]) -> str:
        if folder.exists():
            problem = damage(folder)
            log.warning("%s: made again", problem)
            return problem
        asked = json.loads(_canonical(made_from))
        others = [read_about(path).get("made_from", {}) for path in self.entries() if path.parent == folder.parent]
        differing = [sorted(key for key in asked if asked[key] != other.get(key)) for other in others]
        if not differing:
            return "none was made yet"
        fewest = min(differing, key=len)
        return f"those made before have another {' and another '.join(fewest)}"

    @contextmanager
    def _locked(self, folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(_lock(folder))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire()
        except OSError as error:
            raise NotWritableError(
                f"the cache {self.root} cannot be written ({error.strerror}); choose another with cache=DIR"
            ) from error
        try:
            yield
        finally:
            lock.release()


def key_of(made_from: Mapping[str, Any]) -> str:
    """16 hex digits of SHA-256 over the values, whatever the order of their keys."""
    return hashlib.sha256(_canonical(made_from).encode()).hexdigest()[:16]


def _description(part: Path, about: str, made_from: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The content of about.json."""
    files = sorted(path for path in part.rglob("*") if path.is_file())
    sums = {path.relative_to(part).as_posix(): sha256(path) for path in files}
    made = time.strftime("%Y-%m-%d %H:%M:%S")
    description = {"about": about, "made": made, "made_from": made_from, "facts": facts, "files": sums}
    return {**description, "sum": key_of(description)}


def damage(folder: Path) -> str:
    """What is wrong with an entry, in a few words; empty where it is whole. SHA-256 reads 2 GB/s on a core."""
    return _damage(folder, read_about(folder))


def _damage(folder: Path, about: Mapping[str, Any]) -> str:
    if not folder.exists():
        return "it is missing"
    said = {key: value for key, value in about.items() if key != "sum"}
    if about.get("sum") != key_of(said):
        return f"{folder / ABOUT} is damaged"
    for name, expected in said["files"].items():
        try:
            whole = sha256(folder / name) == expected
        except OSError:  # missing, unreadable, or removed at this moment
            whole = False
        if not whole:
            return f"{folder / name} is damaged"
    return ""


def read_about(folder: Path) -> dict[str, Any]:
    """What about.json says; nothing where it cannot be read."""
    return read_json(folder / ABOUT)


def removed(path: Path) -> None:
    """Removes a folder; of a link only itself, never what it points to."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def sha256(path: Path) -> str:
    """Hex digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def _lock(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"


def part_of(folder: Path) -> Path:
    """Where an entry is made; a job that finds one there knows that its maker is dead."""
    return folder.parent / f".{folder.name}{PART}"
