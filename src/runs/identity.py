"""What makes two runs the same run: the part of a configuration that decides results, and who holds a directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from src.config.targets import first_name, with_names
from src.utils.errors import ResourceError

IDLE_GROUPS = ("hydra", "sweep", "logger", "resume")
# At any depth: paths of caches, processes that read, how often is saved, what is done where memory ends, and the
# comparison that a sweep never makes.
IDLE_KEYS = ("cache", "workers", "num_workers", "save_every_n_minutes", "save_every_n_steps", "auto_batch")
IDLE_KEYS += ("compare_infonce",)
LOCK = ".lock"
SET_ASIDE = "replaced"  # the folder of a sweep's attempts that another has taken the place of, and their status


def recorded(path: Path) -> dict[str, Any]:
    """The status.json of a run; empty where there is none, or half of one."""
    try:
        return json.loads((path / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keeps every other process out of a job's directory. The lock goes with the process, whatever ends it.

    Raises ResourceError where another one has it, or has finished it since this job was planned.
    """
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ResourceError(f"another process is at work in {path}: nothing of it was touched") from error
    try:
        if recorded(path).get("status") == "finished":
            raise ResourceError(f"another process has finished {path} in the meantime: nothing of it was touched")
        yield
    finally:
        lock.release()


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


def identity(cfg: DictConfig, length: int = 16) -> str:
    """Equal for configurations that give the same result, also where a class has been renamed between the two."""
    return fingerprint(with_names(decisive(cfg), first_name), length)


def fingerprint(value: Any, length: int = 10) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _without(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(inner) for key, inner in value.items() if key not in IDLE_KEYS}
    return value
