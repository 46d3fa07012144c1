"""A harvest from roots to a finished corpus: shards, removal of duplicates, splits, and one rename at the end."""

import contextlib
import json
import logging
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from src.corpora.harvester.languages import language_of
from src.corpora.harvester.shards import Shard, cut
from src.corpora.harvester.source_trees import SourceFile, Tree, content_key, find_trees, source_files
from src.corpora.harvester.splits import SPLIT_STARTS, assign_files
from src.corpora.harvester.workers import harvest_all
from src.utils.cpus import usable_cpus
from src.utils.errors import InputError, UserError
from src.utils.files import read_json

log = logging.getLogger(__name__)

# To be raised with every change of this folder that makes other rows of the same sources: they are harvested again.
HARVEST_VERSION = 1
ABOUT = "harvest.json"  # marks a finished harvest


@dataclass(frozen=True, slots=True)
class Work:
    """The input of a harvest."""

    language: str
    trees: list[Tree]
    files: list[SourceFile]
    skipped: Counter[str]
    content: str  # hash over the files' contents, independent of their location

    @property
    def key(self) -> str:
        """Changes with the files and with the version of the harvester."""
        return f"{self.content}-{harvester_version()}"


def plan(language: str, roots: Sequence[str | Path]) -> Work:
    """Finds the files and reads them once for their key. Raises InputError for every fault of the request."""
    grammar = language_of(language)
    trees, skipped = find_trees(roots), Counter[str]()
    files = source_files(trees, grammar, skipped)
    return Work(language, trees, files, skipped, content_key(trees, files, language))


def harvest(work: Work, out: str | Path, workers: int | None = None) -> dict[str, Any]:
    """Writes out/<language>/{train,valid,test,codebase}.jsonl and harvest.json, and returns the content of the latter.

    A finished harvest is not repeated, and a killed one resumes. The rows do not depend on the number of `workers`
    (None: one per core, at most one per shard; 0: only this process).

    Raises InputError: `out` has other content or cannot be written, or there are too few functions to split.
    """
    out = Path(out).expanduser()
    final = out / work.language
    _check(out, final)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / f".{work.language}.lock"):
            if (about := read_about(final)).get("key") == work.key:
                return about
            return harvest_to(work, final, workers)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror or error}); choose another folder") from error


def harvest_to(work: Work, final: Path, workers: int | None = None) -> dict[str, Any]:
    """The same for the folder of the language itself, which no other process writes to; its content is replaced."""
    part = final.with_name(f".{work.language}.part")
    key = part / "key"
    if not key.exists() or key.read_text(encoding="utf-8") != work.key:  # otherwise an interrupted harvest resumes
        shutil.rmtree(part, ignore_errors=True)
        (part / "shards").mkdir(parents=True)
        key.write_text(work.key, encoding="utf-8")
    shards = _make_shards(work, part / "shards", workers)
    try:
        about = _merge(work, part, shards)
    except UserError:  # the same files would end the same way
        shutil.rmtree(part)
        raise
    _replace(part, final)
    return about


@lru_cache(maxsize=1)
def harvester_version() -> str:
    """What decides the rows of given sources: our own version, and those of the parser and its grammars."""
    grammars = ("", "-python", "-java", "-javascript", "-php", "-ruby", "-go")
    versions = [version(f"tree-sitter{grammar}") for grammar in grammars]
    return sha256(f"{HARVEST_VERSION} {' '.join(versions)}".encode()).hexdigest()[:12]


def read_about(folder: Path) -> dict[str, Any]:
    """harvest.json of a finished harvest; empty without one."""
    return read_json(folder / ABOUT)


def show(about: Mapping[str, Any], out: str | Path) -> None:
    """Prints harvest.json to standard output: files, functions and splits; reasons are sorted by frequency."""
    counts, sizes = Counter(about["counts"]), about["sizes"]

    def reasons(kind: str) -> list[tuple[str, int]]:
        named = [item for item in counts.items() if item[0].startswith(kind)]
        return sorted(named, key=lambda item: (-item[1], item[0]))

    rows = [("files read", counts["files read"]), *reasons("files without"), *reasons("files skipped")]
    rows += [("documented functions", counts["documented functions"]), *reasons("dropped")]
    rows += [("kept", sum(sizes.values())), *sizes.items()]
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, number in rows:
        table.add_row(name, f"{number:,}", end_section=name.startswith("kept") or name == "documented functions")
    console = Console()
    console.print(table)
    console.print(f" written to {Path(out) / about['language']}; train with", highlight=False, soft_wrap=True)
    command = f" python -m src.train lang={about['language']} corpus=codesearchnet corpus.root={out} corpus.text=source"
    console.print(command, highlight=False, soft_wrap=True)


def _check(out: Path, final: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"expected a folder in out={out}, found a file")
    ours = re.compile(r"\.\w+\.(?:lock|part|old)")
    found = [path for path in sorted(out.glob("*")) if not ours.fullmatch(path.name)]
    harvests = [path for path in found if read_about(path)]
    if (found and not harvests) or (final in found and final not in harvests):
        other = final if final in found else found[0]
        raise InputError(f"expected a new folder or an earlier harvest in out={out}, found {other}; choose another")


def _make_shards(work: Work, folder: Path, workers: int | None) -> list[Shard]:
    """All shards, made in any order, with a progress bar on standard error if that is a terminal."""
    shards = cut(folder, work.language, work.trees, work.files)
    if workers is None:
        workers = min(usable_cpus(), len(shards))
    finished = sum(len(shard.files) for shard in shards if shard.about.exists())
    columns = TextColumn(" harvest {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        # the time estimate excludes what is finished already
        task = bar.add_task(work.language, total=len(work.files), completed=finished)
        if finished:
            resumed = f"resumes: {finished:,} of {len(work.files):,} files are finished"
            log.info("%s", resumed)
            bar.print(f" harvest {work.language} {resumed}", highlight=False)
        harvest_all(shards, workers, lambda shard: bar.advance(task, len(shard.files)))
    return shards


def _merge(work: Work, part: Path, shards: list[Shard]) -> dict[str, Any]:
    """Splits and codebase from all shards in order, without repeated codes; removes the shards."""
    counts, rows = Counter(work.skipped), 0
    for shard in shards:
        report = shard.report()
        counts.update(report["counts"])
        rows += len(report["index"])
        for file, reason in report["complaints"]:
            log.warning("%s is skipped: %s", file, reason)
    functions = Counter(file for _, file in _first_of_each_code(shards))
    if repeated := rows - functions.total():
        counts["dropped: same code"] = repeated
    split_of = assign_files(functions) if functions else {}
    sizes = Counter(split_of[file] for file in functions.elements())
    if set(sizes) != set(SPLIT_STARTS):
        raise InputError(
            f"{sum(sizes.values())} documented functions in {len(functions)} files of {work.trees[0].root} are too few "
            "to split into train, valid and test; give more roots"
        )

    with contextlib.ExitStack() as stack:
        names = (*SPLIT_STARTS, "codebase")
        streams = {name: stack.enter_context((part / f"{name}.jsonl").open("wb")) for name in names}
        for row, file in _first_of_each_code(shards):
            streams[split_of[file]].write(row)
            if split_of[file] != "train":
                streams["codebase"].write(row)
    about = {
        "key": work.key,
        "language": work.language,
        "harvester": harvester_version(),
        "roots": [{"name": tree.name, "revision": tree.revision, "licence": tree.licence} for tree in work.trees],
        "sizes": {name: sizes[name] for name in SPLIT_STARTS},
        "counts": dict(sorted(counts.items())),
    }
    (part / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(part / "shards")
    (part / "key").unlink()
    return about


def _first_of_each_code(shards: Sequence[Shard]) -> Iterator[tuple[bytes, str]]:
    seen: set[int] = set()  # 64 bits per code, the only data that grows with the corpus
    for shard in shards:
        with shard.rows.open("rb") as rows:
            for row, (digest, file) in zip(rows, shard.report()["index"], strict=True):
                if (code := int(digest, 16)) not in seen:
                    seen.add(code)
                    yield row, file


def _replace(part: Path, final: Path) -> None:
    """Renames `part` to `final`. A reader finds the old corpus, the new one or briefly none, never a part."""
    old = part.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    part.rename(final)
    shutil.rmtree(old, ignore_errors=True)
