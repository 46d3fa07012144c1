"""A run's metadata on a dashboard: its group and tags, and the configuration that distinguishes it from other runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from src.config.arguments import marked
from src.config.schema import Train
from src.config.targets import CONF
from src.config.types import Effect
from src.runs.identity import is_infonce, reads_similarity, result_config

TAG = 64  # characters that W&B takes
# Keys that distinguish no run from another.
DATA_KEYS = {"recipe", "of", "root", "roots", "url_lists", "language"}
SCHEDULE_KEYS = {"num_sanity_val_steps", "check_val_every_n_epoch", "max_steps", "deterministic"}
COMPARED_KEYS = {"devices", "grad_cache_chunk", "compile"}  # a dashboard shows what they cost
MACHINE_KEYS = marked(Train, Effect.ROUNDING) - COMPARED_KEYS
NOISE = {"_target_", "_partial_"} | DATA_KEYS | SCHEDULE_KEYS | MACHINE_KEYS


def init_arguments(cfg: DictConfig, folder: Path, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of `wandb.init`: name, group, job_type, tags and config.

    Args:
        cfg: the run's, with `choices`.
        folder: the run directory.
        data: sizes and fingerprints of the splits.
    """
    choices = _choices(cfg)
    hydra = HydraConfig.get()
    swept = hydra.mode == RunMode.MULTIRUN
    tags = [f"{group}={option}" for group, option in choices.items()] + [f"seed={cfg.seed}"]
    return {
        "name": folder.name,
        "group": folder.parent.name if swept else "-".join(choices[key] for key in ("corpus", "lang", "backbone")),
        "job_type": job_type(cfg, hydra.runtime.choices.get("experiment")),
        "tags": [tag[:TAG] for tag in tags],
        "config": config(cfg, data),
    }


def job_type(cfg: DictConfig, experiment: str | None) -> str:
    """`estimator`: trains an estimator's model; `baseline`: what every loss is compared with; `train`: all others."""
    if experiment and (CONF / "weights" / f"{experiment}.yaml").is_file():
        return "estimator"
    return "baseline" if is_infonce(cfg) else "train"


def config(cfg: DictConfig, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What determines the result, flat: `loss`, `lang`, ... are the options chosen, `loss/alpha` a key of theirs."""
    plain = result_config(cfg)
    found = _choices(cfg)
    plain.pop("choices", None)
    plain.pop("lang", None)  # the chosen option has all of it
    backbone = plain.get("backbone")
    if isinstance(backbone, Mapping) and "encoder" in backbone:
        plain["backbone"] = backbone["encoder"]
    for key, value in {**plain, "data": {**plain.get("data", {}), **(data or {})}}.items():
        found.update(_flat(key, value))
    return found


def _choices(cfg: DictConfig) -> dict[str, str]:
    """The option of each group; no estimator where one was chosen and not used."""
    choices = {str(group): str(option) for group, option in cfg.get("choices", {}).items()}
    return choices if reads_similarity(cfg) else {**choices, "weights": "none"}


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        kept = {key: inner for key, inner in value.items() if key not in NOISE}
        return {name: leaf for key, inner in kept.items() for name, leaf in _flat(f"{prefix}/{key}", inner).items()}
    return {} if value is None or value == [] else {prefix: value}
