"""Harvested trees: folders or zip archives, their source files, and their origin."""

import hashlib
import os
import re
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from src.corpora.harvester.base import Language
from src.corpora.harvester.languages import language_of
from src.utils.errors import InputError

VENDORED = frozenset(
    """vendor vendors vendored _vendor node_modules bower_components third_party thirdparty third-party
    site-packages dist-packages""".split()  # noqa: SIM905 - one name per line would be long
)
TESTS = frozenset(("test", "tests", "testdata", "test_data", "__tests__", "fixtures"))
MINIFIED_NAME = re.compile(r".*[.-](?:min|bundle|pack)\.\w+")
GENERATED_FOLDERS = frozenset(("generated", "dist", "__pycache__"))
LICENCES = ("LICENSE", "LICENCE", "COPYING", "UNLICENSE", "COPYRIGHT")


@dataclass(frozen=True, slots=True)
class Tree:
    """A repository, a package or an archive; `name` is unique in a harvest."""

    root: str  # a folder or a .zip file
    name: str
    revision: str = ""  # commit of a git checkout
    licence: str = ""  # name of the licence file in the top folder

    def read(self, path: str) -> bytes:
        """The content of a file. Raises OSError or zipfile.BadZipFile if it cannot be read."""
        if self.root.endswith(".zip"):
            return _archive(self.root).read(path)
        return Path(self.root, path).read_bytes()


@dataclass(frozen=True, slots=True)
class SourceFile:
    tree: int  # position in the list of trees
    path: str  # relative to the tree's root, with /
    size: int  # bytes
    stamp: str  # changes when the content does


def find_trees(roots: Sequence[str | Path]) -> list[Tree]:
    """A tree for each root. Raises InputError without roots, or for a root that is no folder and no .zip archive."""
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
        unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
        trees.append(Tree(str(path), unique, *_origin(path)))
    return trees


def with_sources(roots: Sequence[str | Path], language: str) -> list[str]:
    """The roots with at least one source file of the language that is not skipped. Raises like find_trees."""
    spoken = language_of(language)
    return [
        tree.root
        for tree in find_trees(roots)
        if any(path.endswith(spoken.suffixes) and not reason_to_skip(path, spoken) for path, *_ in walk(tree.root))
    ]


def source_files(trees: Sequence[Tree], language: Language, counts: Counter[str]) -> list[SourceFile]:
    """Sorted files of the language except vendored, generated, minified and test ones, which are added to `counts`.

    Raises InputError for a tree without source files of the language, or if all files are skipped.
    """
    files: list[SourceFile] = []
    skipped: Counter[str] = Counter()
    in_folder: Counter[str] = Counter()  # number of files skipped for being in this folder
    for number, tree in enumerate(trees):
        found = 0
        for path, size, stamp in walk(tree.root):
            if path.endswith(language.suffixes):
                found += 1
                if reason := reason_to_skip(path, language):
                    skipped[reason] += 1
                    if folder := _skipped_folder(path, language):
                        in_folder[f"{tree.root}/{folder}"] += 1
                else:
                    files.append(SourceFile(number, path, size, stamp))
        if not found:
            kinds = ", ".join(f"*{suffix}" for suffix in language.suffixes)
            raise InputError(f"expected {language.name} sources ({kinds}) in roots, found none in {tree.root}")
    if not files:
        raise _all_skipped(language, skipped, in_folder)
    counts.update({f"files skipped: {reason}": number for reason, number in skipped.items()})
    return sorted(files, key=lambda file: (file.tree, file.path))


def content_key(trees: Sequence[Tree], files: Sequence[SourceFile], language: str) -> str:
    """16 hex digits over names and contents of all files, independent of the location of the trees."""
    digest = hashlib.sha256(language.encode())
    for file in files:
        tree = trees[file.tree]
        try:
            content = file.stamp if tree.root.endswith(".zip") else hashlib.sha256(tree.read(file.path)).hexdigest()
        except OSError:
            content = "unreadable"
        entry = f"\n{tree.name}\0{tree.revision}\0{tree.licence}\0{file.path}\0{content}"
        digest.update(entry.encode("utf-8", "replace"))
    return digest.hexdigest()[:16]


def walk(root: str, unreadable: Callable[[str], object] | None = None) -> Iterator[tuple[str, int, str]]:
    """Path, size and stamp of every file, except in hidden and linked folders.

    `unreadable` is called with every folder that cannot be listed.
    """
    if root.endswith(".zip"):
        for entry in _archive(root).infolist():
            if not entry.is_dir():
                yield entry.filename, entry.file_size, f"{entry.CRC:08x}"
        return
    top = Path(root).resolve()
    on_error = (lambda error: unreadable(error.filename)) if unreadable else None
    for folder, folders, names in os.walk(root, onerror=on_error):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            # Skips pipes, and links to files outside of the tree, which the user did not name.
            if os.path.isfile(path) and (not os.path.islink(path) or Path(path).resolve().is_relative_to(top)):
                stat = os.stat(path)
                yield os.path.relpath(path, root).replace(os.sep, "/"), stat.st_size, str(stat.st_mtime_ns)


def reason_to_skip(path: str, language: Language) -> str:
    """Why a file is skipped for its path; empty for a file to harvest."""
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
    """`a/vendor` of a/vendor/b/c.php; empty if the file is skipped for its own name."""
    folders = path.split("/")[:-1]
    skipped = VENDORED | TESTS | language.test_folders | GENERATED_FOLDERS
    depth = next((depth for depth, folder in enumerate(folders, 1) if folder.lower() in skipped), 0)
    return "/".join(folders[:depth])


def _all_skipped(language: Language, skipped: Counter[str], in_folder: Counter[str]) -> InputError:
    """The error for roots whose sources are all skipped."""
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in skipped.most_common())
    message = f"all {skipped.total():,} {language.name} sources in roots are skipped ({reasons})"
    if not in_folder:
        return InputError(f"{message}; give other roots")
    [(folder, number)] = in_folder.most_common(1)
    way = "unpack the archive and give it" if ".zip/" in folder else "it can be given"
    return InputError(f"{message}, {number:,} below {folder}: {way} as a root itself, roots=[{folder}]")


def _origin(path: Path) -> tuple[str, str]:
    """Commit of a git checkout, and the name of its licence file; both empty for other folders.

    A folder without any committed file, such as a virtual environment, does not belong to the project around it.
    """
    if not path.is_dir() or not _git(path, "ls-tree", "--name-only", "HEAD"):
        return "", ""
    revision, top = _git(path, "rev-parse", "HEAD", "--show-toplevel").splitlines()[:2]
    licences = sorted(name for name in os.listdir(top) if name.upper().startswith(LICENCES))
    return revision, licences[0] if licences else ""


def _git(path: Path, *command: str) -> str:
    """The output of git for the checkout around `path`; empty without one.

    The configuration of a checkout, which comes with the sources, could make git run commands that fetch missing files:
    fetching is disabled.
    """
    no_fetching = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    return output_of("git", "-C", str(path), "-c", "core.fsmonitor=false", *command, env=no_fetching)


def output_of(*command: str, env: Mapping[str, str] | None = None) -> str:
    """The output of a tool with these further environment variables; empty if it is missing or fails."""
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if shown.returncode else shown.stdout.strip()


@lru_cache(maxsize=8)
def _archive(root: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(root)
