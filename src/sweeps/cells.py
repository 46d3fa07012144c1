"""The cells of a grid: what tells one from another, what its directory is called, and how it ended.

Two cells are one where all that decides their result is the same: a loss without similarity trains the same model
whatever the estimator, and where a cache is or who logs changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.types import Override
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from src.errors import InputError

IDLE_GROUPS = ("hydra", "sweep", "logger", "resume")
# At any depth: paths of caches, processes that read, how often is saved, what is done where memory ends, and the
# comparison that a sweep never makes.
IDLE_KEYS = ("cache", "workers", "num_workers", "save_every_n_minutes", "save_every_n_steps", "auto_batch")
IDLE_KEYS += ("compare_infonce",)
LOCK = ".lock"
SET_ASIDE = "replaced"  # the folder of a sweep's attempts that another has taken the place of, and their status
# What a name may hold: nothing that a shell or Hydra reads otherwise when the directory is typed as run=DIR.
UNSAFE = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Cell:
    """One job of a grid: its overrides, and the directory that is its own."""

    overrides: tuple[str, ...]
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def status(self) -> dict[str, Any]:
        """Its status.json; `missing` where nothing began, `unfinished` where what began was cut off.

        `running` is only what a living process holds, such as a worker that outlived the sweep that started it.
        """
        if not self.path.exists():
            return {"status": "missing"}
        found = recorded(self.path)
        if found.get("status") in ("finished", "failed", "pruned"):
            return found
        return {**found, "status": "running" if is_held(self.path) else "unfinished"}

    def set_aside(self) -> None:
        """Moves what is there to the sweep's folder of replaced attempts; nothing is deleted or written over."""
        status = self.status()
        attempts = self.path.parent / SET_ASIDE
        attempts.mkdir(exist_ok=True)
        number = next(n for n in range(1, 10**6) if not (attempts / f"{self.name}.{n}").exists())
        moved = self.path.rename(attempts / f"{self.name}.{number}")
        # Reports read finished runs only: two of one seed must not meet in a table.
        told = {**status, "status": SET_ASIDE, "was": status["status"]}
        (moved / "status.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def recorded(path: Path) -> dict[str, Any]:
    """The status.json of a run; empty where there is none, or half of one."""
    try:
        return json.loads((path / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keeps every other process out of a job's directory. The lock goes with the process, whatever ends it.

    Raises InputError where another one has it, or has finished it since this job was planned.
    """
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"another process is at work in {path}: nothing of it was touched") from error
    try:
        if recorded(path).get("status") == "finished":
            raise InputError(f"another process has finished {path} in the meantime: nothing of it was touched")
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a living process has claimed the directory."""
    if not (path / LOCK).exists():
        return False
    try:
        with FileLock(path / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def decisive(cfg: DictConfig) -> dict[str, Any]:
    """What decides a run's result, as plain values: the resolved configuration less paths of caches, loggers and so on.

    Without `weights` where neither the loss nor the batching reads a similarity.
    """
    kept = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in ("hydra", "sweep")])
    plain = OmegaConf.to_container(kept, resolve=True)
    idle = IDLE_GROUPS if reads_similarity(cfg) else (*IDLE_GROUPS, "weights")
    return _without({key: value for key, value in plain.items() if key not in idle})


def reads_similarity(cfg: DictConfig) -> bool:
    """Whether the estimator has a part in the run."""
    return any(getattr(get_object(cfg[part]["_target_"]), "needs_similarity", True) for part in ("loss", "batching"))


def fingerprint(value: Any, length: int = 10) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def words(overrides: Iterable[Override], groups: Iterable[str]) -> list[str]:
    """What a directory's name says of overrides: the option of a group, `seed1` or `alpha0.5` of a key."""
    found = []
    for override in overrides:
        key, value = override.key_or_group, override.get_value_element_as_str()
        word = value if key in set(groups) else f"{key.rsplit('.', 1)[-1]}{value}"
        found.append(UNSAFE.sub("-", word).strip("-"))
    return [word for word in found if word]


def is_idle(override: Override) -> bool:
    """Whether an override of the command line decides no result."""
    first, last = (override.key_or_group.split(".")[i] for i in (0, -1))
    return first in IDLE_GROUPS or last in IDLE_KEYS


def joined(parts: Sequence[str], length: int = 120) -> str:
    """A directory's name, cut at what file systems and eyes bear; what is cut off is in the hash."""
    return "_".join(parts)[:length].rstrip("_-.")


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner) for key, inner in value.items() if key not in IDLE_KEYS}
    return value
