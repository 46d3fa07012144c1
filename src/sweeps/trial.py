"""A trial of a search, as its own job sees it: what is reported to the study, and when it is not worth going on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import TrialPruned

if TYPE_CHECKING:  # a sweep that has nothing to run does without
    from lightning.pytorch.callbacks import Callback

METRIC = "val/mrr"


def journal(path: str | Path) -> Any:
    """Optuna's storage in a file, which several processes may write."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


def open_trial(study: Any, path: str | Path, number: int) -> Any:
    """The trial of this number in the study's journal, to report to; `study` itself gives a read-only copy."""
    from optuna.trial import Trial

    storage = journal(path)
    study_id = storage.get_study_id_from_name(study.study_name)
    return Trial(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def pruner(options: Any) -> Any:
    """Optuna's MedianPruner with these options; None: no pruner."""
    from optuna.pruners import MedianPruner, NopPruner

    return MedianPruner(**options) if options is not None else NopPruner()


def callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks that a training needs if it is a trial, with `sweep.trial`: {study, name, number, pruning}."""
    if (about := OmegaConf.select(cfg, "sweep.trial")) is None:
        return []
    import optuna
    from lightning.pytorch.callbacks import Callback

    study = optuna.load_study(study_name=about.name, storage=journal(about.study), pruner=pruner(about.pruning))
    trial = open_trial(study, about.study, about.number)

    class Reporting(Callback):
        """Reports val/mrr after each epoch. Raises TrialPruned where the study stops the trial."""

        def on_validation_end(self, trainer: Any, module: Any) -> None:
            if trainer.sanity_checking or METRIC not in trainer.callback_metrics:
                return
            value, epoch = float(trainer.callback_metrics[METRIC]), trainer.current_epoch
            trial.report(value, epoch)
            if trial.should_prune():
                raise TrialPruned(f"{METRIC} {value:.4f} is below the median of earlier trials at epoch {epoch + 1}")

    return [Reporting()]
