"""Every private member of Lightning that this project uses; tests/runtime/test_lightning_internals.py checks them.

Lightning offers no public way to leave its signal handlers out, to act between the start of its processes and the
training, to tell a launcher that forks from one that starts commands, to restart the loader's iterator, or to learn at
which step `ModelCheckpoint` saved.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher


def forks_processes(strategy: Strategy) -> bool:
    """Whether the strategy's processes are copies of this one (`ddp_spawn`, `ddp_fork`), whose results are lost."""
    return isinstance(strategy.launcher, _MultiProcessingLauncher)


def leave_signals_alone(trainer: Trainer) -> None:
    """Lightning's handlers, of SIGTERM above all, exchange tensors in the middle of whatever the process does."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]  # on purpose


def start_processes_inside(trainer: Trainer, context: Callable[[], AbstractContextManager[Any]]) -> bool:
    """Lightning's launcher starts its processes inside `context`; False where another launcher starts them."""
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return False
    start = launcher._call_children_scripts

    def start_inside() -> None:
        with context():
            start()

    launcher._call_children_scripts = start_inside  # type: ignore[method-assign]  # on purpose
    return True


def restart_training_batches(trainer: Trainer) -> None:
    """Begins the epoch's batches again, from where the sampler is now; workers may have read ahead from elsewhere."""
    iter(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]  # is set while a training runs


class StepRecordingCheckpoint(ModelCheckpoint):
    """ModelCheckpoint that knows at which step it saved last (`step`)."""

    step = 0

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.step = trainer.global_step
        super()._save_checkpoint(trainer, filepath)
