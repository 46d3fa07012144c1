"""What makes two runs the same run: the part of a configuration that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.targets import first_name, with_names
from src.runs.labels import reads_similarity

IDLE_GROUPS = ("hydra", "sweep", "logger", "resume")
# At any depth: paths of caches, processes that read, how often is saved, what is done where memory ends, and the
# comparison that a sweep never makes.
IDLE_KEYS = ("cache", "workers", "num_workers", "save_every_n_minutes", "save_every_n_steps", "auto_batch")
IDLE_KEYS += ("compare_infonce",)
SET_ASIDE = "replaced"  # the folder of a sweep's attempts that another has taken the place of, and their status


def recorded(path: Path) -> dict[str, Any]:
    """The status.json of a run; empty where there is none, or half of one."""
    try:
        return json.loads((path / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def decisive(cfg: DictConfig) -> dict[str, Any]:
    """What decides a run's result, as plain values: the resolved configuration less paths of caches, loggers and so on.

    Without `weights` where neither the loss nor the batching reads a similarity.
    """
    kept = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in ("hydra", "sweep")])
    plain = OmegaConf.to_container(kept, resolve=True)
    idle = IDLE_GROUPS if reads_similarity(cfg) else (*IDLE_GROUPS, "weights")
    return _without({key: value for key, value in plain.items() if key not in idle})


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
