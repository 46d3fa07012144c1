"""What a training needs before data is read: a complete, checked configuration and its loggers."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, open_dict

from src.config.checks import check
from src.loggers.run_metadata import init_arguments
from src.loggers.wandb import FaultTolerantWandbLogger
from src.runs.directory import RunDirectory
from src.runs.identity import is_infonce
from src.training.preflight import check_training
from src.utils.errors import InputError

GROUPS = ("loss", "weights", "lang", "backbone", "corpus", "batching")


def validate_config(cfg: DictConfig) -> None:
    """Raises InputError for what is wrong with the configuration, and adds which option of each group was chosen."""
    hydra = HydraConfig.get()
    check(cfg, str(hydra.job.config_name))
    names = {group: hydra.runtime.choices[group] for group in GROUPS}
    swept = hydra.mode == RunMode.MULTIRUN
    if cfg.sweep.grid and not swept:
        raise InputError(f"sweep={hydra.runtime.choices['sweep']} is a grid of runs, found a single one: add -m")
    check_training(cfg)
    with open_dict(cfg):
        cfg.choices = names
        cfg.compare_infonce = cfg.compare_infonce and not swept and not is_infonce(cfg)


def start_loggers(
    cfg: DictConfig, run: RunDirectory, data: Mapping[str, int | str] | None = None, **metadata: str
) -> list[Logger]:
    """The loggers of conf/logger; W&B's gets the run's metadata, with `metadata` in place of what it names."""
    loggers = []
    for name, node in cfg.logger.items():
        given: dict[str, Any] = {**init_arguments(cfg, run.path, data), **metadata} if name == "wandb" else {}
        loggers.append(instantiate(node, save_dir=str(run.path), _partial_=True)(**given))
    return loggers


def dashboards(loggers: Sequence[Logger]) -> list[FaultTolerantWandbLogger]:
    """Those of the loggers that log to W&B."""
    return [logger for logger in loggers if isinstance(logger, FaultTolerantWandbLogger)]
