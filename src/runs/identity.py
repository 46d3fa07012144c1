"""What makes two runs the same run, the part of a configuration that decides its result; and what a run is called."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.arguments import marked
from src.config.schema import Train
from src.config.targets import current_name, first_name, locate_target, with_names
from src.config.types import Effect
from src.utils.errors import InputError
from src.utils.files import read_json

SET_ASIDE = "replaced"  # the folder of a sweep's attempts that another has taken the place of, and their status
INFONCE = "src.losses.infonce.InfoNCE"
RANDOM = {"_target_": "src.data.samplers.RandomBatches"}  # of a run from before there was a choice of batchings


def recorded(path: Path) -> dict[str, Any]:
    """The status.json of a run; empty where there is none, or half of one."""
    return read_json(path / "status.json")


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


def run_name(config: Mapping[str, Any]) -> str:
    """The loss, the estimator where the run used one, and batches that are not random.

    Args:
        config: the configuration of a run, with `choices`.
    """
    choices = config["choices"]
    weights, batching = choices["weights"], choices.get("batching", "random")
    if needs_similarity(config.get("loss")):
        name = f"{choices['loss']} {weights}"
        return name if batching == "random" else f"{name}, {batching}"
    if reads_similarity(config):
        return f"{choices['loss']}, {batching} by {weights}"
    return choices["loss"] if batching == "random" else f"{choices['loss']}, {batching}"


def reads_similarity(config: Mapping[str, Any]) -> bool:
    """Whether the loss or the batching of a run reads the estimator's similarities."""
    return needs_similarity(config.get("loss")) or needs_similarity(config.get("batching") or RANDOM)


def needs_similarity(node: Any) -> bool:
    """Whether the class of a loss or batching needs similarities; True where the class is not here to tell."""
    try:
        return bool(getattr(locate_target(node["_target_"]), "needs_similarity", True))
    except (InputError, TypeError, KeyError):
        return True


def is_infonce(config: Mapping[str, Any]) -> bool:
    """Whether the loss is plain InfoNCE, with which the other losses are compared."""
    return current_name(config["loss"]["_target_"]) == INFONCE
