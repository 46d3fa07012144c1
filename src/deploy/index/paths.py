"""Paths of indexed files: how they are shown, which patterns match them, whether the file has changed."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from src.deploy.index.store import Place

STATES = {"changed": "changed since it was indexed", "gone": "no longer there"}


def shown_path(place: Place) -> str:
    """Relative to the working directory where it is below it."""
    return place.file.removeprefix(os.getcwd() + os.sep)


def matcher(patterns: Sequence[str]) -> Callable[[str, str], bool]:
    """Whether a file, given as root and path below it, matches one of the patterns; with none every file does.

    `*` matches any characters, slashes included; `src/*.py` matches at any depth, and the root's own name counts; a
    pattern that begins with / is a full path. A pattern without wildcards matches anywhere in the path.
    """
    any_of = re.compile("|".join(fnmatch.translate(_anywhere(pattern)) for pattern in patterns))
    return lambda root, path: any_of.match(f"{root}/{path}") is not None


def state_of(place: Place) -> str:
    """The file's state since it was indexed: unchanged (empty), `changed` or `gone`."""
    if place.root.endswith(".zip"):
        return "" if os.path.exists(place.root) else "gone"
    try:
        stat = os.stat(place.file)
    except OSError:
        return "gone"
    return "" if (stat.st_size, str(stat.st_mtime_ns)) == (place.size, place.stamp) else "changed"


def _anywhere(pattern: str) -> str:
    if not any(wildcard in pattern for wildcard in "*?["):
        pattern = f"{pattern}*" if pattern.endswith("/") else f"*{pattern}*"
    return pattern if pattern.startswith(("*", "/")) else f"*/{pattern}"
