"""When a training is saved, and what a checkpoint holds so that going on from it is as if it had never stopped."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from src.runs import checkpoint_file
from src.runs.directory import relative
from src.runs.metrics_csv import MetricsCSV
from src.runtime.signals import WATCH, Watch
from src.training.nonfinite import check_finite

MINUTE = 60.0


class SafeCheckpoints(TorchCheckpointIO):
    """Lightning's way to files: what it saves is atomic and summed, what it loads was checked and runs no code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        check_finite(checkpoint)
        checkpoint_file.write(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        return checkpoint_file.read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


@dataclass(frozen=True)
class Moment:
    """Where a training stood when a step, or its validation, began."""

    position: tuple[int, int]  # the epoch, and how many of its batches are done
    validating: bool
    randomness: dict[str, Any]
    loops: dict[str, Any]  # Lightning's counters


class SaveLast(Checkpoint):
    """Saves at the end of every epoch, every so often within one, and when the process is asked to stop.

    A step is whole when the next one begins: its metrics are logged by then. So a checkpoint within an epoch is made
    just before a batch, and says that the batch before was the last one.

    Args:
        path: the checkpoint, replaced by each newer one.
        every_n_minutes: of training, within an epoch; None: only at its end.
        every_n_steps: the same by steps of the optimiser.
        watch: says when to stop.
    """

    def __init__(
        self, path: Path, every_n_minutes: float | None, every_n_steps: int | None, watch: Watch = WATCH
    ) -> None:
        self.path = path
        self.every_n_minutes = every_n_minutes
        self.every_n_steps = every_n_steps
        self.watch = watch
        self.seconds_before = 0.0  # of training, by the attempts before this one
        self.val_mrr: float | None = None  # of the last validation
        self._start: float | None = None
        self._end: float | None = None
        self._saved = 0.0
        self._saved_step = 0
        self._position = (0, 0)
        self._validating = False
        self._randomness: list[dict[str, Any]] = []  # of each device, where the training does not have it yet
        self._loops: dict[str, Any] | None = None  # of a moment that has passed

    @property
    def seconds(self) -> float:
        """Of training, validation included, of all attempts, less what an attempt did after its last checkpoint."""
        if self._start is None:  # the training had finished before
            return self.seconds_before
        return self.seconds_before + (self._end or time.monotonic()) - self._start

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._start = self._saved = time.monotonic()
        self._saved_step = trainer.global_step
        if self._randomness and trainer.strategy.restore_checkpoint_after_setup:
            # Sharded: workers have read ahead from the first epoch's beginning before the checkpoint was loaded.
            iter(trainer.fit_loop._data_fetcher)
        self.watch.defer()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self._randomness:  # the first step of a training that goes on
            set_randomness(self._randomness[trainer.global_rank])
            self._randomness = []
        if batch_idx % trainer.accumulate_grad_batches:
            return  # what the batches before it left in the gradients is in no checkpoint
        stop = self._asked(trainer)
        if (stop or self._is_due(trainer)) and trainer.global_step != self._saved_step:
            self._save(trainer, (trainer.current_epoch, batch_idx))
        if stop:
            self.watch.stop(f"saved after step {trainer.global_step:,}")

    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if not self._asked(trainer):
            return
        self._validating = True  # the one that goes on begins this validation anew
        self._save(trainer, (trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.completed))
        self.watch.stop(f"saved after step {trainer.global_step:,}")

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if "val/mrr" in trainer.callback_metrics:
            self.val_mrr = float(trainer.callback_metrics["val/mrr"])

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._save(trainer, (trainer.current_epoch + 1, 0))

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._asked(trainer):
            self.watch.stop("the training is finished and saved, its test is not")
        self._end = time.monotonic()
        self.watch.release()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self.watch.release()

    def _asked(self, trainer: L.Trainer) -> bool:
        if trainer.world_size == 1:
            return self.watch.asked
        return trainer.strategy.reduce_boolean_decision(self.watch.asked, all=False)

    def _is_due(self, trainer: L.Trainer) -> bool:
        if self.every_n_steps and trainer.global_step - self._saved_step >= self.every_n_steps:
            return True
        if not self.every_n_minutes:
            return False
        due = time.monotonic() - self._saved >= self.every_n_minutes * MINUTE
        return due if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(due, all=False)

    def _save(self, trainer: L.Trainer, position: tuple[int, int]) -> None:
        self._position = trainer.datamodule.position = position
        trainer.save_checkpoint(self.path)
        self._saved, self._saved_step = time.monotonic(), trainer.global_step

    def save_as_of(self, trainer: L.Trainer, moment: Moment) -> None:
        """Saves what was trained until that moment; weights, optimiser and schedule must not have changed since."""
        self._randomness, self._validating, self._loops = [moment.randomness], moment.validating, moment.loops
        self._save(trainer, moment.position)

    # What is in it beside what Lightning keeps

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "val_mrr": self.val_mrr}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seconds_before, self.val_mrr = state["seconds"], state["val_mrr"]

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["randomness"] = self._randomness or of_all_devices(randomness(), trainer.world_size)
        if self._loops is not None:
            checkpoint["loops"]["fit_loop"] = self._loops
        if self._position[1]:
            step_back(checkpoint["loops"]["fit_loop"], self._position[1], self._validating)

    def on_load_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self._randomness = checkpoint["randomness"]
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV):
                logger.go_on(checkpoint["global_step"])


class KeepBest(ModelCheckpoint):
    """The weights of the epoch that is kept: the best by val/mrr, or the last.

    A run may have been killed after this file was written and before last.ckpt was: then the file is of an epoch that
    last.ckpt knows nothing of. So the state says of which step the file is to be.
    """

    def __init__(self, folder: Path, monitor: str | None) -> None:
        super().__init__(
            folder, filename="best", monitor=monitor, mode="max", save_weights_only=True, enable_version_counter=False
        )
        self.step = 0

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        self.step = trainer.global_step
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        return {"score": self.best_model_score, "step": self.step if self.best_model_path else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        path = Path(self.dirpath) / f"best{self.FILE_EXTENSION}"
        if state["step"] is None or not is_of_step(path, state["step"]):
            return
        self.step, self.best_model_path = state["step"], str(path)
        if self.monitor is not None:
            self.current_score = self.best_model_score = self.kth_value = state["score"]
            self.best_k_models, self.kth_best_model_path = {str(path): state["score"]}, str(path)


def is_of_step(path: Path, step: int) -> bool:
    """Whether `path` is the checkpoint of that step, put back from the previous one where that is needed."""
    for candidate in (path, checkpoint_file.previous(path)):
        try:
            found = checkpoint_file.read(candidate)["global_step"]
        except checkpoint_file.DamagedError as error:
            print(f"{relative(candidate)} is damaged: {error}", flush=True)
            continue
        if found == step:
            if candidate != path:
                candidate.replace(path)
            return True
    print(f"{relative(path)} is lost: the best of the epochs to come is kept", flush=True)
    return False


def step_back(progress: dict[str, Any], batches: int, validating: bool) -> None:
    """Makes Lightning's counters say that this many batches of the epoch are done and that none is being worked at.

    They count one as ready that has been fetched. A validation that was begun counts as one of which nothing is done.
    """
    batch = progress["epoch_loop.batch_progress"]
    total = batch["total"]["completed"]
    batch["current"] = dict.fromkeys(batch["current"], batches)
    batch["total"] = dict.fromkeys(batch["total"], total)
    if validating:
        done = progress["epoch_loop.val_loop.batch_progress"]
        done["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        done["current"] = dict.fromkeys(done["current"], 0)


def randomness() -> dict[str, Any]:
    """The state of every generator that a training draws from, as plain values and tensors."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 (the one that libraries draw from)
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, keys.tolist(), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
    }


def set_randomness(state: dict[str, Any]) -> None:
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def of_all_devices(value: Any, world: int) -> list[Any]:
    """What each device holds, in their order; all must call it."""
    if world == 1:
        return [value]
    values: list[Any] = [None] * world
    dist.all_gather_object(values, value)
    return values
