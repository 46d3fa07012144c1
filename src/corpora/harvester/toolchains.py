"""Folders on this machine where toolchains keep the source of their standard libraries."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from src.corpora.harvester.source_trees import output_of
from src.utils.errors import InputError

# What to install if nothing is found: packages of Debian and its derivatives, and other sources.
PACKAGES = {
    "go": "a Go toolchain (Debian: golang-go or golang-src)",
    "java": "a JDK's src.zip (Debian: openjdk-17-source, or any version)",
    "ruby": "ruby (Debian: ruby)",
    "php": "PHP libraries on the include path (Debian: php-cli and, say, php-symfony) or composer's vendor folder",
    "javascript": "npm's global packages (npm install -g ...) or corpus.root=DIR/node_modules",
}


def library_roots(language: str, root: str | Path | None = None) -> list[Path]:
    """The roots to harvest: those of the toolchain, or of `root`, such as another JDK's src.zip or a node_modules.

    Raises InputError, with the package to install, if there are none.
    """
    if root is not None:
        given = Path(root).expanduser()
        found = _find(language, [given]) if given.is_dir() else []
        return found or [given]  # the harvester reports a missing one
    if roots := installed(language):
        return roots
    raise InputError(
        f"corpus=stdlib lang={language} found no library on this machine; install {PACKAGES[language]}, or give its "
        "folder as corpus.root=DIR"
    )


def installed(language: str) -> list[Path]:
    """The roots of the toolchain's own library; empty without one."""
    return _find(language, _CANDIDATES[language]())


def _go_candidates() -> Iterable[Path]:
    folders = ("/usr/lib/go", "/usr/local/go", *sorted(map(str, Path("/usr/lib").glob("go-*")), reverse=True))
    return [Path(folder, "src") for folder in (output_of("go", "env", "GOROOT"), *folders) if folder]


def _java_candidates() -> Iterable[Path]:
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if java := shutil.which("java"):
        homes.append(Path(java).resolve().parents[1])
    homes += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    for home in homes:
        yield from (home / "lib" / "src.zip", home / "src.zip")


def _ruby_candidates() -> Iterable[Path]:
    shown = output_of("ruby", "-e", "puts RbConfig::CONFIG['rubylibdir']")
    return [Path(shown)] if shown else []


def _php_candidates() -> Iterable[Path]:
    shown = output_of("php", "-r", "echo get_include_path();")
    yield from (Path(folder) for folder in shown.split(os.pathsep) if os.path.isabs(folder))
    home = os.environ.get("COMPOSER_HOME", "~/.config/composer")
    yield from (Path(folder, "vendor").expanduser() for folder in (home, "~/.composer"))
    yield Path("/usr/share/php")


def _javascript_candidates() -> Iterable[Path]:
    folders = ("/usr/share/nodejs", "/usr/lib/node_modules", "/usr/local/lib/node_modules")
    return [Path(folder) for folder in (output_of("npm", "root", "--global"), *folders) if folder]


def _find(language: str, paths: Iterable[Path]) -> list[Path]:
    """The packages in the first folder that has any, or the first path that exists and is not an empty folder."""
    if language in _MANIFESTS:
        return _packages(*_MANIFESTS[language], paths)
    return next(([path] for path in paths if path.is_file() or (path.is_dir() and any(path.iterdir()))), [])


def _packages(marker: str, suffix: str, folders: Iterable[Path]) -> list[Path]:
    """The packages in the first folder that has any, also nested ones: each is a repository."""
    for top in folders:
        found = sorted({file.parent for file in top.rglob(marker) if _is_package(file.parent)}) or [top]
        if with_sources := [folder for folder in found if any(folder.rglob(f"*{suffix}"))]:
            return with_sources
    return []


def _is_package(folder: Path) -> bool:
    """Whether the folder is node_modules/<name>, node_modules/@scope/<name> or vendor/<maker>/<name>."""
    above = [parent.name for parent in folder.parents][:2]
    return above[:1] in (["node_modules"], ["nodejs"]) or (
        above[1:] in (["node_modules"], ["nodejs"], ["vendor"]) and (above[0][:1] == "@" or above[1] == "vendor")
    )


_CANDIDATES: dict[str, Callable[[], Iterable[Path]]] = {
    "go": _go_candidates,
    "java": _java_candidates,
    "ruby": _ruby_candidates,
    "php": _php_candidates,
    "javascript": _javascript_candidates,
}
_MANIFESTS = {"php": ("composer.json", ".php"), "javascript": ("package.json", ".js")}  # file of a package, sources
