"""Making an index of source trees with a model: find the files, harvest and embed those that changed, commit."""

import json
import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from src.corpora.harvester.pipeline import harvester_version
from src.corpora.harvester.shards import Shard, cut
from src.corpora.harvester.source_trees import SourceFile
from src.corpora.harvester.workers import harvest_all
from src.data.length_buckets import LengthBucketer, token_budget
from src.deploy.encoder import Model
from src.deploy.index.nearest import NAME, Graph, measured_recall, write_graph
from src.deploy.index.sources import Sources, find
from src.deploy.index.store import File, Index, Segment, all_digests, documented, joined, read_manifest
from src.deploy.index.writer import Rows, check_out, commit, compact_segments, digest_of, write_segment
from src.runs.identity import fingerprint
from src.training.encode import embed_in_order
from src.utils.cpus import usable_cpus
from src.utils.errors import InputError, ResourceError

log = logging.getLogger(__name__)

PART = ".part"
CHUNK = 2048  # functions that are embedded together, and that an interruption costs at most
SAMPLE = 200  # functions whose documentation is a query when the recall of an approximate search is measured


@dataclass(frozen=True)
class Options:
    """Settings of an index in addition to roots and model."""

    skip: tuple[str, ...] = ("vendored", "generated", "minified")
    workers: int | None = None
    batch_size: int = 64
    exact_below: int = 200_000
    rebuild: bool = False


@dataclass
class Report:
    """What was done."""

    manifest: dict[str, Any]
    counts: Counter[str] = field(default_factory=Counter)  # functions that are new, removed, unchanged; files by reason
    seconds: dict[str, float] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def build(roots: list[str], out: str | Path, model: Model, options: Options) -> Report:
    """Makes or updates the index in `out`.

    Killed at any time, it leaves the earlier index intact; the same command resumes where it stopped.

    Raises:
        InputError: `out` holds something else or the index of another model, and what `find` says of roots.
        ResourceError: `out` is being made by another process.
    """
    out = Path(out).expanduser()
    check_out(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / ".lock", timeout=0):
            return _Build(out, roots, model, options).run()
    except Timeout as error:
        raise ResourceError(
            f"index {out} is being made by another process: wait for it, or choose another out"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"index {out} cannot be written ({reason}); choose another folder in out") from error


class Bars(Progress):
    """One bar for every stage of the work, on standard error where that is a terminal."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn(" {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[of]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
            refresh_per_second=5,
        )

    @contextmanager
    def of(self, name: str, total: int, things: str, done: int = 0) -> Iterator[Callable[[int], object]]:
        """A stage of `total` things, some of them done already; yields a function that takes each further number."""
        task = self.add_task(name, total=total, completed=done, of=things)
        if done:
            self.print(f" {name} resumes: {done:,} of {total:,} {things} are done", highlight=False)
        yield lambda number: self.advance(task, number)
        self.update(task, completed=total)


def embed_codes(model: Model, codes: Sequence[str], batch_size: int) -> np.ndarray:
    """float16 (M, D) in the order of the codes, made on a GPU where there is one, `batch_size` codes at a time.

    Raises NonFiniteError for a NaN or infinite embedding.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return embed_in_order(
        lambda side: model.embed(side).half(),
        codes,
        "code",
        LengthBucketer(model.encoder.to(device), token_budget("auto", model.encoder, device)),
        batch_size,
        model=f"the model {model.checkpoint} in half precision",
        allocate=lambda shape: np.empty(shape, np.float16),
    )


class _Build:
    def __init__(self, out: Path, roots: list[str], model: Model, options: Options) -> None:
        self.out, self.model, self.options = out, model, options
        self.before = _earlier(out, model, options.rebuild)
        self.sources = find(roots or _roots_of(self.before), options.skip)
        self.counts: Counter[str] = Counter({f"files skipped: {why}": n for why, n in self.sources.skipped.items()})
        self.seconds: dict[str, float] = {}

    def run(self) -> Report:
        rows, changed = self._divided()
        with Bars() as bars:
            shards = self._timed("harvest", self._harvest, changed, bars)
            made = self._timed("embed", self._embed, shards, rows, bars)
            manifest = self._timed("write", self._commit, rows, made, bars)
        shutil.rmtree(self.out / PART, ignore_errors=True)
        return Report(manifest, self.counts, self.seconds, self.sources.unreadable)

    def _timed(self, name: str, work: Any, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = work(*arguments)
        self.seconds[name] = time.perf_counter() - start
        return result

    def _divided(self) -> tuple[Rows, Sources]:
        """The rows of the unchanged files, from the old table, and the files that are new or changed."""
        before, rows = self.before, Rows()
        held: dict[tuple[str, str, str, int, str], File] = {}
        if before and before.manifest["harvester"] == harvester_version():
            held = {(before.roots[old.root], old.path, old.language, old.size, old.stamp): old for old in before.files}
        changed: dict[str, list[SourceFile]] = {language: [] for language in self.sources.files}
        for language, files in self.sources.files.items():
            for file in files:
                old = held.get((self.sources.trees[file.tree].root, file.path, language, file.size, file.stamp))
                if before is None or old is None:
                    changed[language].append(file)
                    continue
                rows.begin(file.tree, file.path, language, file.size, file.stamp)
                kept = before.rows[old.first : old.first + old.rows][["digest", "start", "end"]].tolist()
                for row, (digest, start, end) in enumerate(kept, old.first):
                    rows.add(digest, before.names[row], start, end)
        self.counts["files unchanged"] = len(rows.files)
        return rows, Sources(self.sources.trees, changed)

    def _harvest(self, changed: Sources, bars: Bars) -> list[Shard]:
        """Shards of all changed files; those of an interrupted run over the same files are used again."""
        folder = self.out / PART / "shards"
        key, named = _key(changed), folder / "key"
        if not named.exists() or named.read_text(encoding="utf-8") != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            named.write_text(key, encoding="utf-8")
        shards: list[Shard] = []
        for language, files in changed.files.items():
            (folder / language).mkdir(exist_ok=True)
            shards += cut(folder / language, language, changed.trees, files, all_functions=True)
        done = sum(len(shard.files) for shard in shards if shard.about.exists())
        workers = usable_cpus() if self.options.workers is None else self.options.workers
        with bars.of("harvesting", sum(map(len, changed.files.values())), "files", done) as advance:
            harvest_all(shards, min(workers, len(shards)), lambda shard: advance(len(shard.files)))
        for shard in shards:
            report = shard.report()
            self.counts.update({name: n for name, n in report["counts"].items() if name.startswith("files ")})
            for file, reason in report["complaints"]:
                log.warning("%s is left out: %s", file, reason)
        return shards

    def _embed(self, shards: list[Shard], rows: Rows, bars: Bars) -> list[Segment]:
        """New segments of the functions that the index lacks; adds the rows of all changed files."""
        folder = self.out / PART / self.model.identity
        made = [Segment(path) for path in sorted(folder.glob("[!.]*"))]
        held = [*(self.before.segments if self.before else ()), *made]
        known = set(all_digests(held).tolist())

        def missing() -> Iterator[tuple[int, str, str]]:
            """Digest, text and code."""
            for language, row in _read(shards, rows):
                digest = digest_of(language, row["docstring"], row["source"])
                rows.add(digest, row["func_name"], row["start_line"], row["end_line"])
                advance(1)
                if digest not in known:
                    known.add(digest)
                    yield digest, joined(row["docstring"], row["source"]), row["code"]

        with bars.of("embedding", sum(len(shard.report()["index"]) for shard in shards), "functions") as advance:
            functions = missing()
            while chunk := list(islice(functions, CHUNK)):
                digests, texts, codes = zip(*chunk)
                vectors_MD = embed_codes(self.model, codes, self.options.batch_size)
                made.append(write_segment(folder, np.array(digests, np.uint64), texts, vectors_MD))
                self.counts["embedded"] += len(chunk)
        return made

    def _commit(self, rows: Rows, made: list[Segment], bars: Bars) -> dict[str, Any]:
        live = np.unique(np.array(rows.digests, np.uint64))
        before = np.unique(self.before.rows["digest"]) if self.before else np.empty(0, np.uint64)
        self.counts["removed"] = len(np.setdiff1d(before, live))
        self.counts["unchanged"] = len(np.intersect1d(before, live))
        segments = compact_segments(self.out / "segments", self.before.segments if self.before else [], made, live)
        model = self.model
        facts = {
            "model": {"identity": model.identity, "name": model.name, "checkpoint": str(model.checkpoint)},
            "dimension": model.encoder.embedding_size,
            "roots": [tree.root for tree in self.sources.trees],
            "skip": list(self.options.skip),
            "exact_below": self.options.exact_below,
            "harvester": harvester_version(),
            "made": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        return commit(self.out, rows, segments, facts, lambda table: self._graph(table / NAME, segments, bars))

    def _graph(self, path: Path, segments: list[Segment], bars: Bars) -> dict[str, Any] | None:
        """Writes the approximate search and measures its recall of the true ten best, with documentation as queries."""
        if (functions := sum(map(len, segments))) <= self.options.exact_below:
            return None
        digests, vectors = [segment.digests for segment in segments], [segment.vectors_MD for segment in segments]
        with bars.of("linking", functions, "functions") as advance:
            write_graph(path, digests, vectors, self.before.table / NAME if self.before else None, advance)
        drawn = np.random.default_rng(0).permutation
        docs = [documented(held.texts[row])[0] for held in segments for row in drawn(len(held))[:SAMPLE].tolist()]
        queries = [self.model.query(doc) for doc in drawn(list(filter(None, docs)))[:SAMPLE].tolist()]
        recall = measured_recall(vectors, Graph(path, all_digests(segments)), queries) if queries else None
        return {"recall@10": recall, "queries": len(queries)}


def _earlier(out: Path, model: Model, rebuild: bool) -> Index | None:
    """The index to update. Raises InputError where it is another model's."""
    if rebuild or read_manifest(out) is None:
        return None
    index = Index.open(out)
    if index.model["identity"] != model.identity:
        raise InputError(
            f"index {out} was made with another model ({index.model['name']}, {index.model['identity']}, dimension "
            f"{index.dimension}), found {model.name}, {model.identity}: choose another out, or rebuild=true"
        )
    return index


def _roots_of(before: Index | None) -> list[str]:
    if before is None:
        raise InputError("expected the folders to index in roots=[DIR,...], found none")
    for root in before.roots:
        if not Path(root).exists():
            others = ",".join(other for other in before.roots if other != root)
            raise InputError(
                f"root {root} of the index is gone: give the others, roots=[{others}], to remove its functions"
            )
    return before.roots


def _read(shards: list[Shard], rows: Rows) -> Iterator[tuple[str, dict[str, Any]]]:
    """Language and row of every function of the shards; starts every file in `rows`, also those without functions."""
    for shard in shards:
        with shard.rows.open(encoding="utf-8") as lines:
            row = json.loads(next(lines, "null"))
            for file in shard.files:
                rows.begin(file.tree, file.path, shard.language, file.size, file.stamp)
                tree = shard.trees[file.tree].name
                while row and (row["repo"], row["path"]) == (tree, file.path):
                    yield shard.language, row
                    row = json.loads(next(lines, "null"))


def _key(sources: Sources) -> str:
    """Changes with the files that are harvested and with the harvester."""
    roots = [tree.root for tree in sources.trees]
    files = {name: [(roots[file.tree], *astuple(file)) for file in own] for name, own in sources.files.items()}
    return fingerprint([harvester_version(), files])
