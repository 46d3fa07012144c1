"""The cells of a grid: what its directory is called, and how it ended."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from src.runs.directory import claimed, is_claimed
from src.runs.identity import SET_ASIDE, non_result_keys, recorded
from src.utils.errors import ResourceError
from src.utils.files import write_atomically

# What a name may hold: nothing that a shell or Hydra reads otherwise when the directory is typed as run=DIR.
UNSAFE = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Cell:
    """One job of a grid: its overrides, and the directory that is its own."""

    overrides: tuple[str, ...]
    path: Path

    def status(self) -> dict[str, Any]:
        """Its status.json; `missing` where no run began, `unfinished` where what began was cut off.

        `running` is only what a living process holds, such as a worker that outlived the sweep that started it.
        """
        if not self.path.exists():
            return {"status": "missing"}
        found = recorded(self.path)
        if found.get("status") in ("finished", "failed", "pruned"):
            return found
        if is_claimed(self.path):
            return {**found, "status": "running"}
        return {**found, "status": "unfinished" if found else "missing"}

    def set_aside(self) -> None:
        """Moves what is there to the sweep's folder of replaced attempts; nothing is deleted or written over."""
        status = self.status()
        attempts = self.path.parent / SET_ASIDE
        attempts.mkdir(exist_ok=True)
        names = (attempts / f"{self.path.name}.{number}" for number in itertools.count(1))
        moved = self.path.rename(next(name for name in names if not name.exists()))
        # Reports read finished runs only: two of one seed must not meet in a table.
        replaced = {**status, "status": SET_ASIDE, "was": status["status"]}
        write_atomically(moved / "status.json", json.dumps(replaced, indent=2) + "\n")


@contextmanager
def claimed_cell(path: Path) -> Iterator[None]:
    """Claims a job's directory. Raises ResourceError where another process has it, or has finished it meanwhile."""
    with claimed(path):
        if recorded(path).get("status") == "finished":
            raise ResourceError(f"another process has finished {path} in the meantime: nothing of it was touched")
        yield


def words(overrides: Iterable[Override], groups: Iterable[str]) -> list[str]:
    """What a directory's name says of overrides: the option of a group, `seed1` or `alpha0.5` of a key."""
    found = []
    for override in overrides:
        key, value = override.key_or_group, override.get_value_element_as_str()
        word = value if key in set(groups) else f"{key.rsplit('.', 1)[-1]}{value}"
        found.append(UNSAFE.sub("-", word).strip("-"))
    return [word for word in found if word]


def changes_result(override: Override) -> bool:
    """Whether another value of the override's key could give another result."""
    return non_result_keys().isdisjoint(override.key_or_group.split("."))


def joined(parts: Sequence[str], length: int = 120) -> str:
    """A directory's name, cut at what file systems and eyes bear; what is cut off is in the hash."""
    return "_".join(parts)[:length].rstrip("_-.")
