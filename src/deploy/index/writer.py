"""Writing an index: segments, which never change, then a table, then the commit that makes both current."""

from __future__ import annotations

import json
import shutil
from array import array
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from src.deploy.index.postings import hash_of, statistics, terms_of, write_postings
from src.deploy.index.store import FORMAT, MANIFEST, ROW, File, Segment, all_digests, documented, write_texts
from src.utils.errors import InputError
from src.utils.files import PART, write_atomically

FULL = 32_768  # functions of a segment; its postings number them in 16 bits


def digest_of(language: str, doc: str, source: str) -> int:
    """64 bits that name a distinct function; of a million, two share one with a chance of 1 in 37 million."""
    return hash_of(f"{language}\0{doc}\0{source}")


def write_segment(folder: Path, digests: np.ndarray, texts: Sequence[str], vectors_MD: np.ndarray) -> Segment:
    """A new segment below `folder`, complete or not there at all; `vectors_MD` is float16."""
    name = uuid4().hex[:12]
    part = folder / f".{name}"
    part.mkdir(parents=True)
    np.save(part / "digests.npy", digests)
    np.save(part / "vectors.npy", vectors_MD)
    write_texts(part, "texts", texts)
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
        self.files.append(File(root, path, language, size, stamp, len(self.digests)))

    def add(self, digest: int, name: str, start: int, end: int) -> None:
        self.digests.append(digest)
        self.places.extend((len(self.files) - 1, start, end))
        self.names.append(name)
        self.files[-1].rows += 1


def compact_segments(folder: Path, held: Sequence[Segment], made: Sequence[Segment], live: np.ndarray) -> list[Segment]:
    """Segments that hold exactly the live functions, each once.

    Large segments of the index without a dead function are kept; all others are merged into new ones.

    Args:
        held: segments of the current index, all with postings.
        made: newly embedded segments, without postings.
        live: sorted digests.
    """
    without_dead = [segment for segment in held if np.isin(segment.digests, live, assume_unique=True).all()]
    unchanged = not made and len(without_dead) == len(held)
    kept = [segment for segment in without_dead if unchanged or len(segment) >= FULL // 2]
    loose = [*made, *(segment for segment in held if segment not in kept)]
    digests = all_digests(loose)
    wanted = np.zeros(len(digests), bool)
    wanted[np.unique(digests, return_index=True)[1]] = True  # the first of each
    wanted &= np.isin(digests, live) & ~np.isin(digests, all_digests(kept))
    rows = np.flatnonzero(wanted)
    return kept + [_merged(folder, loose, rows[start : start + FULL]) for start in range(0, len(rows), FULL)]


def _merged(folder: Path, segments: Sequence[Segment], rows: np.ndarray) -> Segment:
    """A new segment of some functions of others, whose rows, in order, are numbered across them."""
    starts = np.cumsum([0, *map(len, segments)])
    own = [part - start for part, start in zip(np.split(rows, np.searchsorted(rows, starts[1:-1])), starts)]
    texts = [segment.texts[row] for segment, part in zip(segments, own) for row in part.tolist()]
    vectors_MD = np.concatenate([segment.vectors_MD[part] for segment, part in zip(segments, own)])
    merged = write_segment(folder, all_digests(segments)[rows], texts, vectors_MD)
    write_postings(merged.folder, (terms_of(*documented(text)) for text in texts))
    return merged


def commit(
    out: Path,
    rows: Rows,
    segments: Sequence[Segment],
    facts: dict[str, Any],
    graph: Callable[[Path], dict[str, Any] | None],
) -> dict[str, Any]:
    """Writes the table, then the manifest that makes it current, and removes segments and tables no longer in use.

    `graph` may add the approximate search to the table's folder; the manifest records what it returns.
    """
    name = uuid4().hex[:12]
    table = out / "tables" / name
    table.mkdir(parents=True)
    held = np.zeros(len(rows.digests), ROW)
    held["digest"] = rows.digests
    held["file"], held["start"], held["end"] = np.array(rows.places, np.int32).reshape(-1, 3).T
    digests = all_digests(segments)
    order = np.argsort(digests)
    if len(held):
        held["item"] = order[np.searchsorted(digests, held["digest"], sorter=order)]
    np.save(table / "rows.npy", held)
    np.save(table / "by_item.npy", np.argsort(held["item"], kind="stable").astype(np.int32))
    write_texts(table, "names", rows.names)
    (table / "files.json").write_text(json.dumps(list(map(astuple, rows.files))), encoding="utf-8")
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
    for path in (*out.glob("segments/*"), *out.glob("tables/*")):
        if path.name not in (name, *manifest["segments"]):
            shutil.rmtree(path, ignore_errors=True)
    return manifest


def check_out(out: Path) -> None:
    """Raises InputError where an index cannot be written to this folder."""
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder in out={out}, found a file")
    ours = {MANIFEST, "segments", "tables", ".lock"}
    found = sorted(path.name for path in out.glob("*") if path.name not in ours and not path.name.endswith(PART))
    if found and not (out / MANIFEST).exists():
        raise InputError(
            f"expected a new folder or an earlier index in out={out}, found {found[0]} there; choose another"
        )
