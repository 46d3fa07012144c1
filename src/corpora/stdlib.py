"""A language's own standard library as a code search corpus: real, documented, and on many machines already.

A query is the first paragraph of a function's docstring, its code is the function without it, as in CodeSearchNet
(Husain et al., 2019) with GraphCodeBERT's filter. Modules are split, not functions, so test modules are unseen.
"""

import functools
import logging
import sys
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from src.config.types import Effect, Jaccard
from src.corpora.base import Corpus, MissingLanguage, Pair, Split
from src.corpora.harvester.filters import query_problem
from src.corpora.harvester.languages import language_of
from src.corpora.harvester.splits import split_groups
from src.corpora.harvester.toolchains import PACKAGES, installed, library_roots
from src.corpora.python_source import documented_functions
from src.corpora.source_trees import HarvestCorpus
from src.utils.disk_cache import DEFAULT_ROOT
from src.utils.errors import InputError
from src.utils.near_duplicates import near_duplicates
from src.utils.subtokens import subtokens

log = logging.getLogger(__name__)

# Left out: what some distributions of the same python version patch, generate or ship apart.
DISTRIBUTION_SPECIFIC = frozenset(
    """__hello__ __phello__ ctypes distutils ensurepip gettext idlelib lib2to3 locale pydoc pydoc_data site sysconfig
    tkinter turtle turtledemo venv""".split()  # noqa: SIM905 - one name a line would hide the rest of the file
)
NOT_THE_LIBRARY = frozenset(("__pycache__", "idle_test", "site-packages", "test", "tests"))
# Where each split begins on the line of all pairs: 75 / 10 / 15 %.
BEGINS = {"train": 0.0, "valid": 0.75, "test": 0.85}


@dataclass(frozen=True, slots=True)
class Library:
    """What one reading of the library gave: the splits, and how many of what were read, kept and dropped."""

    splits: dict[str, Split]
    counts: dict[str, int]


@dataclass(eq=False)
class StdlibCorpus(Corpus):
    """Documented functions and methods of the running interpreter's standard library, or of another toolchain's.

    Builds of one python version hold the same pairs unless their maker patched the library; the fingerprints of the
    splits tell. Valid and test rank the codes of their own pairs.

    Args:
        language: language whose library is read.
        root: the library's folder; None is the running interpreter's, or what the toolchain names.
        near_duplicate: Jaccard index of python's codes that count as one. The harvester, which reads the other
            languages, drops equal codes only.
        cache: folder that keeps the harvests of other languages.
    """

    language: str = "python"
    root: str | Path | None = None
    near_duplicate: Jaccard = 0.8
    cache: Annotated[str | Path | None, Effect.NONE] = DEFAULT_ROOT

    def read(self, name: str) -> Split:
        """Raises InputError: no library on this machine, or a root without it."""
        return (
            read_library(self._root, self.near_duplicate).splits[name]
            if self.language == "python"
            else self._harvested.split(name)
        )

    def check(self) -> None:
        """Raises InputError: no library on this machine, or no folder."""
        if self.language != "python":
            language_of(self.language)
            library_roots(self.language, self.root)
        elif not self._root.is_dir():
            raise InputError(
                f"expected the source of python's standard library in corpus.root={self._root}, found no folder"
            )

    def counts(self) -> dict[str, int]:
        """Files and functions read, pairs dropped by reason, pairs kept, and pairs in each split."""
        return (
            dict(read_library(self._root, self.near_duplicate).counts)
            if self.language == "python"
            else self._harvested.counts()
        )

    def of_language(self, language: str) -> "StdlibCorpus":
        """One of several. Raises MissingLanguage: its library is not on this machine, or too small to split."""
        if self.root is not None:
            raise InputError(f"corpus.root={self.root} is one language's library; leave it out with lang=all")
        corpus = StdlibCorpus(language, None, self.near_duplicate, self.cache)
        if language != "python":
            if not installed(language):
                raise MissingLanguage(f"no library on this machine; install {PACKAGES[language]}")
            corpus._harvested.harvested()
        return corpus

    @functools.cached_property
    def _harvested(self) -> HarvestCorpus:
        language_of(self.language)
        return HarvestCorpus(library_roots(self.language, self.root), self.language, cache=self.cache)

    @property
    def _root(self) -> Path:
        return Path(sysconfig.get_path("stdlib") if self.root is None else self.root).expanduser()


@functools.lru_cache(maxsize=4)  # every corpus object of the process shares one reading
def read_library(root: Path, near_duplicate: float) -> Library:
    """Read, filter, remove duplicates over the whole library, then split by module."""
    counts: Counter[str] = Counter()
    pairs = list(_pairs(root, counts))
    if not counts["files"]:
        raise InputError(f"expected the source of python's standard library in corpus.root={root}, found no modules")
    pairs = _first_of(pairs, lambda pair: tuple(pair.code.split()), "dropped: same code", counts)
    # One query, two codes: whichever the model ranks first, the other is counted as wrong.
    pairs = _first_of(pairs, lambda pair: tuple(subtokens(pair.query)), "dropped: same query", counts)
    dropped = set(near_duplicates([pair.code for pair in pairs], near_duplicate))
    counts["dropped: near duplicate code"] = len(dropped)
    pairs = [pair for position, pair in enumerate(pairs) if position not in dropped]
    counts["kept"] = len(pairs)

    split_of = split_groups(Counter(_module(pair) for pair in pairs), BEGINS)
    splits: dict[str, Split] = {}
    for name in BEGINS:
        members = [pair for pair in pairs if split_of[_module(pair)] == name]
        if not members:
            raise InputError(f"split {name!r} of corpus.root={root} is empty: {len(pairs)} pairs are too few to split")
        counts[name] = len(members)
        splits[name] = Split.of(name, members)
    log.info("standard library in %s: %s", root, ", ".join(f"{key} {number}" for key, number in counts.items()))
    return Library(splits, counts)


def _pairs(root: Path, counts: Counter[str]) -> Iterator[Pair]:
    """Pairs that pass every filter, ordered by file and line. A file that does not parse costs that file only."""
    for path in _files(root):
        counts["files"] += 1
        file = path.relative_to(root).as_posix()
        try:
            with tokenize.open(path) as stream:  # the encoding that the file itself declares
                yield from list(_pairs_of_file(file, stream.read(), counts))
        except (SyntaxError, ValueError, RecursionError, OSError, tokenize.TokenError) as error:
            counts["files that do not parse"] += 1
            log.warning("%s does not parse and is left out: %s", file, error)


def _pairs_of_file(file: str, source: str, counts: Counter[str]) -> Iterator[Pair]:
    seen: Counter[str] = Counter()
    for function in documented_functions(source):
        counts["documented functions"] += 1
        name = function.node.name
        if name.startswith("test") or (name.startswith("__") and name.endswith("__")):
            counts["dropped: test or dunder"] += 1
        elif query_problem(query := function.query):
            counts["dropped: query"] += 1
        elif (code := function.code).count("\n") < 2:
            counts["dropped: under 3 lines"] += 1
        else:
            seen[function.name] += 1
            again = f"#{seen[function.name]}" if seen[function.name] > 1 else ""
            yield Pair(query, code, f"{file}:{function.name}{again}", "python")


def _files(root: Path) -> list[Path]:
    """Source files of the library proper, in an order that no file system decides."""
    modules = sys.stdlib_module_names - DISTRIBUTION_SPECIFIC
    tops = [top for top in root.glob("*") if top.name.removesuffix(".py") in modules] if root.is_dir() else []
    files = [file for top in tops for file in (top.rglob("*.py") if top.is_dir() else [top])]
    library = [file for file in files if NOT_THE_LIBRARY.isdisjoint(file.relative_to(root).parts)]
    return sorted(library, key=lambda file: file.relative_to(root).as_posix())


def _module(pair: Pair) -> str:
    """Top-level module of a pair: `asyncio` for asyncio/events.py, because modules of a package share their words."""
    return pair.id.split(":")[0].split("/")[0].removesuffix(".py")


def _first_of(
    pairs: Sequence[Pair], key: Callable[[Pair], tuple[str, ...]], reason: str, counts: Counter[str]
) -> list[Pair]:
    first: dict[tuple[str, ...], Pair] = {}
    for pair in pairs:
        first.setdefault(key(pair), pair)
    counts[reason] = len(pairs) - len(first)
    return list(first.values())
