"""The trees that are harvested: folders or zip archives, their source files, and what is known about their origin."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from src.corpora.harvester.base import Language
from src.corpora.harvester.languages import language_of
from src.utils.errors import InputError

VENDORED = frozenset(
    """vendor vendors vendored _vendor node_modules bower_components third_party thirdparty third-party
    site-packages dist-packages""".split()  # noqa: SIM905 - a name a line would hide the rest of the file
)
TESTS = frozenset(("test", "tests", "testdata", "test_data", "__tests__", "fixtures"))
MINIFIED_NAME = re.compile(r".*[.-](?:min|bundle|pack)\.\w+")
GENERATED_FOLDERS = frozenset(("generated", "dist", "__pycache__"))
LICENCES = ("LICENSE", "LICENCE", "COPYING", "UNLICENSE", "COPYRIGHT")


@dataclass(frozen=True, slots=True)
class Tree:
    """A repository, a package or an archive; `name` is its own among all trees of a harvest."""

    root: str  # a folder or a .zip file
    name: str
    revision: str = ""  # commit, where the tree is a git checkout
    licence: str = ""  # name of the licence file at its top

    def read(self, path: str) -> bytes:
        """Raises OSError or zipfile.BadZipFile for a file that cannot be read."""
        if self.root.endswith(".zip"):
            return _archive(self.root).read(path)
        return Path(self.root, path).read_bytes()


@dataclass(frozen=True, slots=True)
class SourceFile:
    tree: int  # position in the list of trees
    path: str  # below the tree's root, with /
    size: int  # bytes
    stamp: str  # changes when the content does


def find_trees(roots: Sequence[str | Path]) -> list[Tree]:
    """Raises InputError: no root, or one that is neither a folder nor a .zip archive."""
    if not roots:
        raise InputError("expected the folders to harvest in roots=[DIR,...], found none")
    trees: list[Tree] = []
    seen: Counter[str] = Counter()
    for given in dict.fromkeys(str(root) for root in roots):
        path = Path(given).expanduser().resolve()
        if not path.is_dir() and not (path.suffix == ".zip" and zipfile.is_zipfile(path)):
            found = "a file that is no .zip archive" if path.exists() else "nothing there"
            raise InputError(f"expected a folder or a .zip archive of sources in roots, found {given}: {found}")
        name = path.stem if path.suffix == ".zip" else path.name
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}-{seen[name]}"
        trees.append(Tree(str(path), name, *_origin(path)))
    return trees


def with_sources(roots: Sequence[str | Path], language: str) -> list[str]:
    """Those of the roots that hold a source file of the language which would be read. Raises as find_trees."""
    spoken = language_of(language)

    def is_read(path: str) -> bool:
        return path.endswith(spoken.suffixes) and not reason_to_skip(path, spoken)

    return [tree.root for tree in find_trees(roots) if any(is_read(path) for path, *_ in walk(tree.root))]


def source_files(trees: Sequence[Tree], language: Language, counts: Counter[str]) -> list[SourceFile]:
    """Files of the language but for vendored, generated, minified and test ones, in an order of their own.

    Raises InputError: a tree without a source file of the language, or none that is left in all of them.
    """
    files: list[SourceFile] = []
    skipped: Counter[str] = Counter()
    below: Counter[str] = Counter()  # the folder that each is skipped for
    for number, tree in enumerate(trees):
        found = 0
        for path, size, stamp in walk(tree.root):
            if path.endswith(language.suffixes):
                found += 1
                if reason := reason_to_skip(path, language):
                    skipped[reason] += 1
                    if folder := _skipped_folder(path, language):
                        below[f"{tree.root}/{folder}"] += 1
                else:
                    files.append(SourceFile(number, path, size, stamp))
        if not found:
            kinds = ", ".join(f"*{suffix}" for suffix in language.suffixes)
            raise InputError(f"expected {language.name} sources ({kinds}) in roots, found none in {tree.root}")
    if not files:
        raise _all_skipped(language, skipped, below)
    counts.update({f"files skipped: {reason}": number for reason, number in skipped.items()})
    return sorted(files, key=lambda file: (file.tree, file.path))


def content_key(trees: Sequence[Tree], files: Sequence[SourceFile], *more: str) -> str:
    """16 hex digits over names and contents of all files, wherever the trees lie."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in files:
        tree = trees[file.tree]
        try:
            content = file.stamp if tree.root.endswith(".zip") else hashlib.sha256(tree.read(file.path)).hexdigest()
        except OSError:
            content = "unreadable"
        digest.update(
            f"\n{tree.name}\0{tree.revision}\0{tree.licence}\0{file.path}\0{content}".encode("utf-8", "replace")
        )
    return digest.hexdigest()[:16]


def walk(root: str, unreadable: Callable[[str], object] | None = None) -> Iterator[tuple[str, int, str]]:
    """Path, size and stamp of every file; hidden folders and linked ones are not entered.

    `unreadable` is called with every folder that cannot be listed.
    """
    if root.endswith(".zip"):
        for entry in _archive(root).infolist():
            if not entry.is_dir():
                yield entry.filename, entry.file_size, f"{entry.CRC:08x}"
        return
    top = Path(root).resolve()
    refused = (lambda error: unreadable(error.filename)) if unreadable else None
    for folder, folders, names in os.walk(root, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            # Neither a pipe nor a link that leads out of the tree, to what was not given.
            if os.path.isfile(path) and (not os.path.islink(path) or Path(path).resolve().is_relative_to(top)):
                stat = os.stat(path)
                yield os.path.relpath(path, root).replace(os.sep, "/"), stat.st_size, str(stat.st_mtime_ns)


def reason_to_skip(path: str, language: Language) -> str:
    """Why a file is left out by its path; empty for one that is read."""
    *folders, name = path.split("/")
    lower = {folder.lower() for folder in folders}
    if not lower.isdisjoint(VENDORED):
        return "vendored"
    if not lower.isdisjoint(TESTS | language.test_folders) or re.fullmatch(language.test_files, name):
        return "test"
    if not lower.isdisjoint(GENERATED_FOLDERS):
        return "generated"
    return "minified" if MINIFIED_NAME.fullmatch(name) else ""


def _skipped_folder(path: str, language: Language) -> str:
    """`a/vendor` of a/vendor/b/c.php; empty where the file's own name is why it is left out."""
    folders = path.split("/")[:-1]
    skipped = VENDORED | TESTS | language.test_folders | GENERATED_FOLDERS
    first = next((place for place, folder in enumerate(folders, 1) if folder.lower() in skipped), 0)
    return "/".join(folders[:first])


def _all_skipped(language: Language, skipped: Counter[str], below: Counter[str]) -> InputError:
    """For roots that hold sources, none of which is read."""
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in skipped.most_common())
    message = f"all {skipped.total():,} {language.name} sources in roots are skipped ({reasons})"
    if not below:
        return InputError(f"{message}; give other roots")
    [(folder, number)] = below.most_common(1)
    way = "unpack the archive and give it" if ".zip/" in folder else "it can be given"
    return InputError(f"{message}, {number:,} below {folder}: {way} as a root itself, roots=[{folder}]")


def _origin(path: Path) -> tuple[str, str]:
    """Commit of a git checkout, and the name of its licence file; both empty for anything else.

    A folder of which the commit holds nothing, such as a virtual environment, is not the work of the project around it.
    """
    if not path.is_dir() or not _git(path, "ls-tree", "--name-only", "HEAD"):
        return "", ""
    revision, top = _git(path, "rev-parse", "HEAD", "--show-toplevel").splitlines()[:2]
    licences = sorted(name for name in os.listdir(top) if name.upper().startswith(LICENCES))
    return revision, licences[0] if licences else ""


def _git(path: Path, *command: str) -> str:
    """What git prints of the checkout around `path`; empty where there is none.

    The checkout's own configuration, which came with the sources, may name commands that fetch what is missing of it:
    git is told to fetch nothing.
    """
    try:
        shown = subprocess.run(
            ["git", "-C", str(path), "-c", "core.fsmonitor=false", *command],
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if shown.returncode else shown.stdout


@lru_cache(maxsize=8)
def _archive(root: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(root)
