"""The private members of Lightning that src/runtime/lightning_internals.py uses are there and do what it expects."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.strategies import launchers

from src.runtime import lightning_internals as internals

CHANGED = "Lightning's {} changed: adapt src/runtime/lightning_internals.py or narrow lightning's upper bound"


def two_processes(strategy: str) -> L.Trainer:
    return L.Trainer(accelerator="cpu", devices=2, strategy=strategy, logger=False, enable_checkpointing=False)


def train(folder: Path, *callbacks: Callback, leave_signals: bool = False) -> L.Trainer:
    """One epoch of 3 steps of one row of random numbers each."""
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=3,
        limit_val_batches=1,
        logger=False,
        callbacks=list(callbacks),
        default_root_dir=folder,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    if leave_signals:
        internals.leave_signals_alone(trainer)
    trainer.fit(BoringModel())
    return trainer


def test_strategies_that_fork_processes_are_recognised():
    said = CHANGED.format("_MultiProcessingLauncher")
    assert internals.forks_processes(two_processes("ddp_spawn").strategy), said
    assert not internals.forks_processes(two_processes("ddp").strategy), said


def test_lightnings_signal_handlers_are_left_out(tmp_path):
    handlers: list[Any] = []

    class Look(Callback):
        def on_train_start(self, *arguments: Any) -> None:
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    train(tmp_path, Look())
    train(tmp_path, Look(), leave_signals=True)
    assert handlers[0] != before, CHANGED.format("_signal_connector.register_signal_handlers (no longer needed)")
    assert handlers[1] == before, CHANGED.format("_signal_connector.register_signal_handlers")


def test_processes_are_started_inside_the_context():
    events: list[str] = []

    @contextmanager
    def context() -> Iterator[None]:
        events.append("enter")
        yield
        events.append("exit")

    trainer = two_processes("ddp")
    start = lambda launcher: events.append("start")  # noqa: E731
    with mock.patch.object(launchers._SubprocessScriptLauncher, "_call_children_scripts", start):
        assert internals.start_processes_inside(trainer, context)
        with mock.patch("lightning.pytorch.strategies.launchers.subprocess_script._launch_process_observer"):
            trainer.strategy.launcher.launch(lambda: events.append("train"))
    assert events == ["enter", "start", "exit", "train"], CHANGED.format("_SubprocessScriptLauncher")
    assert not internals.start_processes_inside(two_processes("ddp_spawn"), context)


def test_the_training_batches_can_be_restarted(tmp_path):
    starts: list[int] = []

    class Data(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[torch.Tensor]:
            starts.append(1)
            return iter(torch.zeros(3, 32))

    class Restart(Callback):
        def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
            starts.clear()
            internals.restart_training_batches(trainer)

    with mock.patch.object(BoringModel, "train_dataloader", return_value=torch.utils.data.DataLoader(Data())):
        train(tmp_path, Restart())
    assert len(starts) == 1, CHANGED.format("fit_loop._data_fetcher")


def test_a_checkpoint_knows_at_which_step_it_was_saved(tmp_path):
    checkpoint = internals.StepRecordingCheckpoint(tmp_path)
    assert checkpoint.step == 0
    train(tmp_path, checkpoint)
    assert checkpoint.step == 3, CHANGED.format("ModelCheckpoint._save_checkpoint")
