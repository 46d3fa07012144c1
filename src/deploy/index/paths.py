"""Paths of indexed files, as they are shown and as they are asked for."""

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
    """As a person would type it from here."""
    return place.file.removeprefix(os.getcwd() + os.sep)


def matcher(patterns: Sequence[str]) -> Callable[[str, str], bool]:
    """Whether a file, given as root and path below it, matches one of the patterns; with none every file does.

    `*` stands for any signs, slashes too; `src/*.py` is looked for at any depth, also below the root's own name; one
    that begins with / is the whole path. What has no * at all is looked for as it is.
    """
    tests = [re.compile(fnmatch.translate(_anywhere(pattern))).match for pattern in patterns]

    def matches(root: str, path: str) -> bool:
        whole = f"{root}/{path}"
        return not tests or any(test(whole) for test in tests)

    return matches


def state_of(place: Place) -> str:
    """What became of the file since it was indexed: nothing (empty), `changed` or `gone`."""
    if place.root.endswith(".zip"):
        return "" if os.path.exists(place.root) else "gone"
    try:
        stat = os.stat(place.file)
    except OSError:
        return "gone"
    return "" if (stat.st_size, str(stat.st_mtime_ns)) == (place.size, place.stamp) else "changed"


def _anywhere(pattern: str) -> str:
    if not any(sign in pattern for sign in "*?["):
        pattern = f"{pattern}*" if pattern.endswith("/") else f"*{pattern}*"
    return pattern if pattern.startswith(("*", "/")) else f"*/{pattern}"
