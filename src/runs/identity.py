"""What makes two runs the same run: the part of a configuration that decides its result."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.arguments import marked
from src.config.schema import Train
from src.config.targets import first_name, with_names
from src.config.types import Effect
from src.runs.labels import reads_similarity

SET_ASIDE = "replaced"  # the folder of a sweep's attempts that another has taken the place of, and their status


def recorded(path: Path) -> dict[str, Any]:
    """The status.json of a run; empty where there is none, or half of one."""
    try:
        found = json.loads((path / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@cache
def non_result_keys() -> frozenset[str]:
    """Names of the keys that change no result, at whatever depth they are."""
    from src.corpora.source_trees import HarvestCorpus  # here, since few readers of a run directory need the harvester

    return marked(Train, Effect.NONE) | marked(HarvestCorpus, Effect.NONE) | {"hydra"}


def result_config(cfg: DictConfig) -> dict[str, Any]:
    """What decides a run's result, as plain values: the resolved configuration less paths of caches, loggers and so on.

    Without `weights` where neither the loss nor the batching reads a similarity.
    """
    left_out = {"hydra", "sweep"} if reads_similarity(cfg) else {"hydra", "sweep", "weights"}
    kept = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in left_out])
    return without(OmegaConf.to_container(kept, resolve=True), non_result_keys())


def identity(cfg: DictConfig, length: int = 16) -> str:
    """Equal for configurations that give the same result, also where a class has been renamed between the two."""
    return fingerprint(with_names(result_config(cfg), first_name), length)


def fingerprint(value: Any, length: int = 10) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def without(value: Any, ignored: frozenset[str]) -> Any:
    """The value less the keys of these names, at whatever depth they are."""
    if isinstance(value, Mapping):
        return {key: without(inner, ignored) for key, inner in value.items() if key not in ignored}
    return value
