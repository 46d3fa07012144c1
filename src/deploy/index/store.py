"""An index on disk, mapped into memory: whatever its size, only what a query needs is read.

INDEX/manifest.json        which of the folders below are current, and for which model; replaced atomically, so that a
                           reader finds the old index or the new one
INDEX/segments/<name>/     the distinct functions: vectors (float16), digests, texts, terms of BM25; never changed
INDEX/tables/<name>/       where they stand: a row for every place, the files, the approximate graph if there is one
INDEX/.part/               files harvested and embedded so far by an unfinished run

Shape letters: M distinct functions (items), R rows (places where one stands), D embedding size.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.utils.errors import InputError

FORMAT = 1
MANIFEST = "manifest.json"
STATES = {"changed": "changed since it was indexed", "gone": "no longer there"}
ROW = np.dtype([("digest", "<u8"), ("file", "<i4"), ("start", "<i4"), ("end", "<i4"), ("item", "<i4")])


class Texts:
    """Many texts in a UTF-8 file, each read on demand."""

    def __init__(self, folder: Path, name: str) -> None:
        self._starts = np.load(folder / f"{name}.starts.npy", mmap_mode="r")
        size = int(self._starts[-1])
        self._bytes = np.memmap(folder / f"{name}.txt", np.uint8, "r", shape=(size,)) if size else np.empty(0, np.uint8)

    def __getitem__(self, index: int) -> str:
        return self._bytes[self._starts[index] : self._starts[index + 1]].tobytes().decode("utf-8")


class Segment:
    """Some of the distinct functions of an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests = np.load(folder / "digests.npy", mmap_mode="r")
        self.vectors_MD = np.load(folder / "vectors.npy", mmap_mode="c")  # torch warns of arrays that are not writable
        if len(self.vectors_MD) != len(self.digests):
            raise ValueError(f"{len(self.vectors_MD)} vectors for {len(self.digests)} functions")

    def __len__(self) -> int:
        return len(self.digests)

    @cached_property
    def texts(self) -> Texts:
        """Documentation and source of each, see `documented`."""
        return Texts(self.folder, "texts")


class Place(NamedTuple):
    """Where a function stands; lines count from 1 and include both ends."""

    root: str
    path: str  # below the root, with /
    language: str
    name: str
    start: int
    end: int
    stamp: str  # of the file when it was indexed
    size: int

    @property
    def file(self) -> str:
        """The file's full path; inside the archive where the root is one."""
        return os.path.join(self.root, *self.path.split("/"))

    @property
    def shown(self) -> str:
        """The file's path, relative to the working directory where it is below it."""
        return self.file.removeprefix(os.getcwd() + os.sep)

    def state(self) -> str:
        """The file's state since it was indexed: unchanged (empty), `changed` or `gone`."""
        if self.root.endswith(".zip"):
            return "" if os.path.exists(self.root) else "gone"
        try:
            stat = os.stat(self.file)
        except OSError:
            return "gone"
        return "" if (stat.st_size, str(stat.st_mtime_ns)) == (self.size, self.stamp) else "changed"


@dataclass
class File:
    """An indexed source file, the first of its rows and their number."""

    root: int
    path: str
    language: str
    size: int
    stamp: str
    first: int
    rows: int = 0


class Index:
    """A finished index, open for reading."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest
        self.model: dict[str, Any] = manifest["model"]
        self.roots: list[str] = manifest["roots"]
        self.dimension: int = manifest["dimension"]
        self.segments = [Segment(folder / "segments" / name) for name in manifest["segments"]]
        self.table = folder / "tables" / manifest["table"]
        self.rows = np.load(self.table / "rows.npy", mmap_mode="r")
        self.row_of_item = np.load(self.table / "by_item.npy", mmap_mode="r")  # rows, those of one item together
        self.starts = np.concatenate([[0], np.cumsum([len(segment) for segment in self.segments])]).astype(np.int64)
        self.items = int(self.starts[-1])  # M, distinct functions
        if (len(self.rows), self.items) != (manifest["functions"], manifest["items"]):
            raise ValueError("its table and its manifest differ in size")

    @classmethod
    def open(cls, folder: str | Path) -> "Index":
        """Raises InputError where there is no finished index, or a damaged one."""
        folder = Path(folder).expanduser()
        manifest = read_manifest(folder)
        if manifest is None:
            raise InputError(_missing(folder))
        try:
            return cls(folder, manifest)
        except (OSError, ValueError, KeyError) as error:
            if read_manifest(folder) != manifest:  # another process has just replaced it
                return cls.open(folder)
            raise InputError(
                f"index {folder} is damaged ({error}): make it again, in another folder or with rebuild=true"
            ) from error

    @cached_property
    def names(self) -> Texts:
        """The qualified name of each row's function."""
        return Texts(self.table, "names")

    @cached_property
    def files(self) -> list[File]:
        return [File(*values) for values in json.loads((self.table / "files.json").read_text(encoding="utf-8"))]

    def place(self, row: int) -> Place:
        number, start, end = self.rows[row][["file", "start", "end"]].tolist()
        file = self.files[number]
        root, name = self.roots[file.root], self.names[row]
        return Place(root, file.path, file.language, name, start, end, file.stamp, file.size)

    def text(self, item: int) -> tuple[str, str]:
        """Documentation and source of a distinct function."""
        segment = int(np.searchsorted(self.starts, item, "right")) - 1
        return documented(self.segments[segment].texts[item - int(self.starts[segment])])

    def rows_of(self, item: int) -> np.ndarray:
        """The rows of an item."""
        items = self._sorted_items
        return self.row_of_item[np.searchsorted(items, item, "left") : np.searchsorted(items, item, "right")]

    @cached_property
    def _sorted_items(self) -> np.ndarray:
        return self.rows["item"][self.row_of_item]


def all_digests(segments: Sequence[Segment]) -> np.ndarray:
    """uint64 (M,) of the functions of all segments, in their order."""
    return np.concatenate([segment.digests for segment in segments] or [np.empty(0, np.uint64)])


def joined(doc: str, source: str) -> str:
    """A function's documentation and source as one text; sources with a NUL are binary and never indexed."""
    return f"{doc}\0{source}"


def documented(text: str) -> tuple[str, str]:
    """Documentation and source of a text that `joined` made."""
    doc, _, source = text.partition("\0")
    return doc, source


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """None where there is none. Raises InputError for one that this version cannot read."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] == FORMAT:
            return manifest
        found = f"format {manifest['format']}, expected {FORMAT}"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"index {folder} cannot be read ({error.strerror}): change its permissions") from error
    except (ValueError, KeyError, TypeError):
        found = "it is damaged"
    raise InputError(f"{path} cannot be used ({found}): remove the folder and make the index again")


def write_texts(folder: Path, name: str, texts: Sequence[str]) -> None:
    """Writes what `Texts` reads."""
    encoded = [text.encode("utf-8", "replace") for text in texts]
    with (folder / f"{name}.txt").open("wb") as file:
        file.writelines(encoded)
    starts = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=starts[1:])
    np.save(folder / f"{name}.starts.npy", starts)


def _missing(folder: Path) -> str:
    if not folder.exists():
        return f"index {folder} does not exist: make one with python -m src.index run=DIR roots=[REPO] out={folder}"
    if (folder / ".part").exists():
        return f"index {folder} is not finished: type the command that made it again, it resumes where it stopped"
    return f"expected an index, found {folder} without {MANIFEST}: give the folder that src.index wrote to in out="
