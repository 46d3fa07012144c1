"""When a training is saved, and what a checkpoint holds so that the resumed training equals one that never stopped."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from src.datamodule import CodeSearchData
from src.runs import checkpoint_file
from src.runs.directory import relative
from src.runs.metrics_csv import MetricsCSV
from src.runtime.launch import process_rank
from src.runtime.lightning_internals import StepRecordingCheckpoint, restart_training_batches
from src.runtime.signals import SIGNALS, SignalWatcher
from src.training.nonfinite import check_finite


class SafeCheckpoints(TorchCheckpointIO):
    """Lightning's access to files: saves are atomic and have a checksum; loads check it and run no code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        check_finite(checkpoint)
        checkpoint_file.write(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint_file.read(Path(path))


@dataclass(frozen=True)
class TrainingPosition:
    """Where a training stood when a step, or its validation, began."""

    epoch: int
    batches: int  # of the epoch that were done
    validating: bool
    rng_state: dict[str, Any]
    loops: dict[str, Any]  # Lightning's counters


class SaveLast(Checkpoint):
    """Saves last.ckpt at the end of every epoch, at intervals within one, and when the process is asked to stop.

    A step is complete when the next one begins: its metrics are logged by then. So a checkpoint within an epoch is made
    just before a batch, and says that the batch before was the last one.

    Args:
        path: the checkpoint, replaced by each newer one.
        every_n_minutes: of training, within an epoch; None: only at its end.
        every_n_steps: the same, in steps of the optimiser.
        watcher: knows whether the process was asked to stop.
    """

    def __init__(
        self, path: Path, every_n_minutes: float | None, every_n_steps: int | None, watcher: SignalWatcher = SIGNALS
    ) -> None:
        self.path = path
        self.every_n_minutes, self.every_n_steps = every_n_minutes, every_n_steps
        self.watcher = watcher
        self.seconds_before = 0.0  # of training, by the attempts before this one
        self.val_mrr: float | None = None  # of the last validation
        self._start: float | None = None
        self._end: float | None = None
        self._saved = 0.0
        self._saved_step = 0
        self._batches = 0  # of the epoch that the next checkpoint counts as done
        self._validating = False
        self._rng_states: list[dict[str, Any]] = []  # of each rank, where the training has not restored them yet
        self._loops: dict[str, Any] | None = None  # Lightning's counters of an earlier position

    @property
    def seconds(self) -> float:
        """Of training, validation included, of all attempts, less what an attempt did after its last checkpoint."""
        if self._start is None:  # the training had finished before
            return self.seconds_before
        return self.seconds_before + (self._end or time.monotonic()) - self._start

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._start = self._saved = time.monotonic()
        self._saved_step = trainer.global_step
        if self._rng_states and trainer.strategy.restore_checkpoint_after_setup:
            # Sharded: workers have read ahead from the first epoch's beginning before the checkpoint was loaded.
            restart_training_batches(trainer)
        self.watcher.defer()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self._rng_states:  # the first step of a resumed training
            set_rng_state(self._rng_states[trainer.global_rank])
            self._rng_states = []
        if batch_idx % trainer.accumulate_grad_batches:
            return  # no checkpoint holds the gradients of the batches before
        stop = self._stop_requested(trainer)
        if (stop or self._is_due(trainer)) and trainer.global_step != self._saved_step:
            self._save(trainer, trainer.current_epoch, batch_idx)
        if stop:
            self.watcher.stop(f"saved after step {trainer.global_step:,}")

    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if not self._stop_requested(trainer):
            return
        self._validating = True  # the resumed training repeats this validation
        self._save(trainer, trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.completed)
        self.watcher.stop(f"saved after step {trainer.global_step:,}")

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if "val/mrr" in trainer.callback_metrics:
            self.val_mrr = float(trainer.callback_metrics["val/mrr"])

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._save(trainer, trainer.current_epoch + 1, 0)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._stop_requested(trainer):
            self.watcher.stop("the training is finished and saved, its test is not")
        self._end = time.monotonic()
        self.watcher.release()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self.watcher.release()

    def _stop_requested(self, trainer: L.Trainer) -> bool:
        return trainer.strategy.reduce_boolean_decision(self.watcher.stop_requested, all=False)

    def _is_due(self, trainer: L.Trainer) -> bool:
        if self.every_n_steps and trainer.global_step - self._saved_step >= self.every_n_steps:
            return True
        if not self.every_n_minutes:
            return False
        is_late = time.monotonic() - self._saved >= self.every_n_minutes * 60
        return trainer.strategy.reduce_boolean_decision(is_late, all=False)

    def _save(self, trainer: L.Trainer, epoch: int, batches: int) -> None:
        data: CodeSearchData = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it in `fit`
        self._batches, data.position = batches, (epoch, batches)
        trainer.save_checkpoint(self.path)
        self._saved, self._saved_step = time.monotonic(), trainer.global_step

    def save_at(self, trainer: L.Trainer, position: TrainingPosition) -> None:
        """Saves the training as it was there; weights, optimiser and schedule must not have changed since."""
        self._rng_states, self._validating, self._loops = [position.rng_state], position.validating, position.loops
        self._save(trainer, position.epoch, position.batches)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "val_mrr": self.val_mrr}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds_before, self.val_mrr = state["seconds"], state["val_mrr"]

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["randomness"] = self._rng_states or gather_objects(rng_state(), trainer.world_size)
        if self._loops is not None:
            checkpoint["loops"]["fit_loop"] = self._loops
        if self._batches:
            rewind_progress(checkpoint["loops"]["fit_loop"], self._batches, self._validating)

    def on_load_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._rng_states = checkpoint["randomness"]
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV):
                logger.resume_at(checkpoint["global_step"])


class KeepBest(StepRecordingCheckpoint):
    """best.ckpt: the weights of the best epoch by val/mrr, or of the last one.

    A run may have been killed after this file was written and before last.ckpt was: then the file is of an epoch that
    last.ckpt knows nothing of. So the state in last.ckpt has the step of the file that belongs to it.
    """

    def __init__(self, folder: Path, monitor: str | None) -> None:
        super().__init__(
            folder, filename="best", monitor=monitor, mode="max", save_weights_only=True, enable_version_counter=False
        )

    @property
    def path(self) -> Path:
        """best.ckpt in the first process's folder, which Lightning sends to the other processes in `setup`."""
        assert self.dirpath is not None  # given to the constructor
        return Path(self.dirpath) / f"best{self.FILE_EXTENSION}"

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.best_model_score, "step": self.step if self.best_model_path else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state["step"] is None or not restore_step(self.path, state["step"]):
            return
        self.step, self.best_model_path = state["step"], str(self.path)
        if self.monitor is not None:
            self.current_score = self.best_model_score = self.kth_value = state["score"]
            self.best_k_models, self.kth_best_model_path = {str(self.path): state["score"]}, str(self.path)


def restore_step(path: Path, step: int) -> bool:
    """Whether `path` is the checkpoint of that step; if only the previous file is, that one is moved back to `path`.

    Of several processes the first moves it; the others look at `path` again, since that may happen while they look.
    """
    again = [path] if process_rank() else []
    for candidate in (path, checkpoint_file.previous(path), *again):
        try:
            found = checkpoint_file.read(candidate)["global_step"]
        except checkpoint_file.DamagedError as error:
            print(f"{relative(candidate)} is damaged: {error}", flush=True)
            continue
        if found == step:
            if candidate != path and not process_rank():
                candidate.replace(path)
            return True
    print(f"{relative(path)} is lost: the best of the coming epochs is kept", flush=True)
    return False


def rewind_progress(progress: dict[str, Any], batches: int, validating: bool) -> None:
    """Makes Lightning's counters say that this many batches of the epoch are done and that none is in progress.

    They count one as ready that has been fetched. A validation that had begun counts as one of which nothing is done.
    """
    batch = progress["epoch_loop.batch_progress"]
    total = batch["total"]["completed"]
    batch["current"] = dict.fromkeys(batch["current"], batches)
    batch["total"] = dict.fromkeys(batch["total"], total)
    if validating:
        done = progress["epoch_loop.val_loop.batch_progress"]
        done["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        done["current"] = dict.fromkeys(done["current"], 0)


def rng_state() -> dict[str, Any]:
    """The state of every generator that a training draws from, as plain values and tensors."""
    version, words, gauss = random.getstate()
    legacy: Any = np.random.get_state()  # noqa: NPY002 (the one that libraries draw from)
    name, keys, position, has_gauss, cached = legacy
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, keys.tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Restores what `rng_state` returned."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def gather_objects(value: Any, world_size: int) -> list[Any]:
    """The value of each rank, in their order; all ranks must call it."""
    if world_size == 1:
        return [value]
    values: list[Any] = [None] * world_size
    dist.all_gather_object(values, value)
    return values
