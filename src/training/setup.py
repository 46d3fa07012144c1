"""What a training needs before data is read: a complete, checked configuration and its loggers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, open_dict

from src.config.checks import check
from src.loggers import ForgivingWandbLogger
from src.loggers.run_metadata import about
from src.runs.directory import RunDirectory
from src.training.preflight import check_training
from src.utils.errors import InputError

GROUPS = ("loss", "weights", "lang", "backbone", "corpus", "batching")


def validate_config(cfg: DictConfig) -> None:
    """Raises InputError for what is wrong with the configuration, and adds which option of each group was chosen."""
    hydra = HydraConfig.get()
    check(cfg, hydra.job.config_name)
    names = {group: hydra.runtime.choices[group] for group in GROUPS}
    swept = hydra.mode == RunMode.MULTIRUN
    if cfg.sweep.grid and not swept:
        raise InputError(f"sweep={hydra.runtime.choices.sweep} is a grid of runs, found a single one: add -m")
    check_training(cfg)
    with open_dict(cfg):
        cfg.choices = names
        cfg.compare_infonce = cfg.compare_infonce and not swept and names["loss"] != "infonce"


def start_loggers(
    cfg: DictConfig, run: RunDirectory, data: Mapping[str, int | str] | None = None, **other: str
) -> list[Logger]:
    """The loggers of conf/logger; a dashboard is told what it slices by (`about`), less what `other` says otherwise."""
    told = {"wandb": lambda: {**about(cfg, run.path, data), **other}}
    return [
        instantiate(node, save_dir=str(run.path), _partial_=True)(**told[name]() if name in told else {})
        for name, node in cfg.logger.items()
    ]


def dashboards(loggers: Sequence[Logger]) -> list[ForgivingWandbLogger]:
    return [logger for logger in loggers if isinstance(logger, ForgivingWandbLogger)]
