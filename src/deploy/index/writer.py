"""Writing an index: segments, which never change, then a table, then the commit that makes both current."""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from src.deploy.index.postings import statistics, terms_of, write_postings
from src.deploy.index.store import FORMAT, MANIFEST, ROW, File, Segment, documented, write_texts
from src.utils.errors import InputError
from src.utils.files import PART, write_atomically

FULL = 32_768  # functions of a segment; its postings number them in 16 bits


def digest_of(language: str, doc: str, source: str) -> int:
    """64 bits that name a distinct function; of a million, two share one with a chance of 1 in 37 million."""
    text = f"{language}\0{doc}\0{source}".encode("utf-8", "replace")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def write_segment(
    folder: Path, digests: np.ndarray, texts: Sequence[str], vectors_MD: np.ndarray | Iterable[np.ndarray], size: int
) -> Segment:
    """A new segment below `folder`, complete or not there at all.

    Args:
        vectors_MD: float16 (M, size), or parts of them in order.
    """
    name = uuid4().hex[:12]
    part = folder / f".{name}"
    part.mkdir(parents=True)
    np.save(part / "digests.npy", digests)
    write_texts(part, "texts", texts)
    held = np.lib.format.open_memmap(part / "vectors.npy", "w+", np.float16, (len(digests), size))
    start = 0
    for vectors in [vectors_MD] if isinstance(vectors_MD, np.ndarray) else vectors_MD:
        held[start : start + len(vectors)] = vectors
        start += len(vectors)
    held.flush()
    part.rename(folder / name)
    return Segment(folder / name)


@dataclass
class Rows:
    """The rows of a table while they are collected, each 28 bytes and a name."""

    digests: array[int] = field(default_factory=lambda: array("Q"))
    places: array[int] = field(default_factory=lambda: array("i"))  # file, first and last line of each
    names: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)

    def begin(self, root: int, path: str, language: str, size: int, stamp: str) -> None:
        """Starts a file, to which the rows that follow belong."""
        self.files.append(File(root, path, language, size, stamp, len(self.digests), 0))

    def add(self, digest: int, name: str, start: int, end: int) -> None:
        self.digests.append(digest)
        self.places.extend((len(self.files) - 1, start, end))
        self.names.append(name)

    def table(self) -> np.ndarray:
        """The rows without their items' numbers, which `commit` fills in."""
        rows = np.zeros(len(self.digests), ROW)
        rows["digest"] = np.frombuffer(self.digests, np.uint64) if self.digests else 0
        places = np.frombuffer(self.places, np.int32).reshape(-1, 3)
        rows["file"], rows["start"], rows["end"] = places.T
        return rows

    def counted(self) -> list[File]:
        """The files, each with the number of its rows."""
        ends = [*(file.first for file in self.files[1:]), len(self.digests)]
        return [replace(file, rows=end - file.first) for file, end in zip(self.files, ends)]


def compact_segments(
    folder: Path, held: Sequence[Segment], made: Sequence[Segment], live: np.ndarray, size: int
) -> list[Segment]:
    """Segments that hold exactly the live functions, each once.

    Large segments of the index without a dead function are kept; all others are merged into new ones.

    Args:
        held: segments of the current index, all with postings.
        made: newly embedded segments, without postings.
        live: sorted digests.
    """
    kept: list[Segment] = []
    loose: list[Segment] = [*made]
    live_alone = [bool(np.isin(segment.digests, live, assume_unique=True).all()) for segment in held]
    unchanged = not made and all(live_alone)
    for segment, without_dead in zip(held, live_alone):
        keeps = without_dead and (len(segment) >= FULL // 2 or unchanged)
        (kept if keeps else loose).append(segment)
    loose_digests = np.concatenate([segment.digests for segment in loose] or [np.empty(0, np.uint64)])
    kept_digests = np.concatenate([segment.digests for segment in kept] or [np.empty(0, np.uint64)])
    wanted = np.zeros(len(loose_digests), bool)
    wanted[np.unique(loose_digests, return_index=True)[1]] = True  # the first of each
    wanted &= np.isin(loose_digests, live) & ~np.isin(loose_digests, kept_digests)
    own = np.split(wanted, np.cumsum([len(segment) for segment in loose])[:-1])
    parts = [(segment, np.flatnonzero(rows)) for segment, rows in zip(loose, own)]
    return kept + [_merged(folder, group, size) for group in _grouped(parts)]


def _grouped(parts: Sequence[tuple[Segment, np.ndarray]]) -> Iterator[list[tuple[Segment, np.ndarray]]]:
    """Parts of segments, grouped into full segments; the last group holds the rest."""
    group: list[tuple[Segment, np.ndarray]] = []
    space = FULL
    for segment, rows in parts:
        while len(rows):
            group.append((segment, rows[:space]))
            rows, space = rows[space:], space - len(group[-1][1])
            if not space:
                yield group
                group, space = [], FULL
    if group:
        yield group


def _merged(folder: Path, group: Sequence[tuple[Segment, np.ndarray]], size: int) -> Segment:
    digests = np.concatenate([segment.digests[rows] for segment, rows in group])
    texts = [segment.texts[row] for segment, rows in group for row in rows.tolist()]
    merged = write_segment(folder, digests, texts, (segment.vectors_MD[rows] for segment, rows in group), size)
    write_postings(merged.folder, (terms_of(*documented(text)) for text in texts))
    return merged


def commit(
    out: Path,
    rows: Rows,
    segments: Sequence[Segment],
    facts: dict[str, Any],
    graph: Callable[[Path], dict[str, Any] | None] = lambda table: None,
) -> dict[str, Any]:
    """Writes the table, then the manifest that makes it current, and removes segments and tables no longer in use.

    `graph` may add the approximate search to the table's folder; the manifest records what it returns.
    """
    name = uuid4().hex[:12]
    table = out / "tables" / name
    table.mkdir(parents=True)
    held = rows.table()
    digests = np.concatenate([segment.digests for segment in segments] or [np.empty(0, np.uint64)])
    order = np.argsort(digests)
    if len(held):
        held["item"] = order[np.searchsorted(digests, held["digest"], sorter=order)]
    np.save(table / "rows.npy", held)
    np.save(table / "by_item.npy", np.argsort(held["item"], kind="stable").astype(np.int32))
    write_texts(table, "names", rows.names)
    files = json.dumps([list(astuple(file)) for file in rows.counted()])
    (table / "files.json").write_text(files, encoding="utf-8")
    manifest = {
        "format": FORMAT,
        **facts,
        "segments": [segment.folder.name for segment in segments],
        "table": name,
        "functions": len(held),
        "items": len(digests),
        "files": len(rows.files),
        "lexical": statistics([segment.folder for segment in segments]),
        "graph": graph(table),
    }
    write_atomically(out / MANIFEST, json.dumps(manifest, indent=2) + "\n", sync=True)
    _remove_all_but(out / "segments", manifest["segments"])
    _remove_all_but(out / "tables", [name])
    return manifest


def _remove_all_but(folder: Path, names: Sequence[str]) -> None:
    for path in folder.glob("*") if folder.exists() else ():
        if path.name not in names:
            shutil.rmtree(path, ignore_errors=True)


def check_out(out: Path) -> None:
    """Raises InputError where an index cannot be written to this folder."""
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder in out={out}, found a file")
    ours = {MANIFEST, "segments", "tables", ".lock"}
    there = (path.name for path in out.glob("*")) if out.exists() else ()
    found = sorted(name for name in there if name not in ours and not name.endswith(PART))
    if found and not (out / MANIFEST).exists():
        raise InputError(
            f"expected a new folder or an earlier index in out={out}, found {found[0]} there; choose another"
        )
