"""Callbacks that measure and report: throughput, the weights of negatives, one line per epoch without a terminal."""

import time
from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Callback

from src.data.collate import TrainingBatch
from src.loggers.wandb import FaultTolerantWandbLogger
from src.losses.base import Loss, effective_negatives, mask_excluded, negatives
from src.module import CodeSearchModule
from src.utils.lazy_matrix import some_rows


class Throughput(Callback):
    """Pairs per second of training, waiting for data included, validation left out.

    The first batch of each epoch is left out too: it pays for starting the loader's workers.
    """

    def __init__(self) -> None:
        self.pairs = 0
        self.training_seconds = 0.0
        self._last: float | None = None

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._last = None

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: TrainingBatch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self._last is not None:
            self.pairs += len(batch.positive_B) * trainer.world_size
            self.training_seconds += now - self._last
        self._last = now
        if is_logged(trainer) and self.training_seconds:
            module.log("train/pairs_per_second", self.pairs_per_second)

    def state_dict(self) -> dict[str, float]:
        return {"pairs": self.pairs, "training_seconds": self.training_seconds}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.pairs, self.training_seconds = int(state["pairs"]), state["training_seconds"]

    @property
    def pairs_per_second(self) -> float:
        return self.pairs / self.training_seconds if self.training_seconds else 0.0


class NegativeWeights(Callback):
    """Logs statistics of a loss's weights over a batch's negatives, every `log_every_n_steps`; a histogram less often.

    `weights/share_clipped` is the share of negatives at the loss's floor; `weights/effective_negatives` is Kish's
    (sum w)^2 / sum w^2 of a row, averaged: n where all weigh the same, fewer where some count for little. Only the
    first 1,024 rows of a batch are measured.
    """

    def __init__(self, histogram_every: int = 5) -> None:
        self.histogram_every = histogram_every  # number of loggings from one histogram to the next
        self._logged = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: TrainingBatch, batch_idx: int
    ) -> None:
        if batch.similarity_BC is None or not is_logged(trainer):
            return
        loss: Loss = cast(CodeSearchModule, module).loss
        similarity_BC = some_rows(batch.similarity_BC).float()
        positive_B = batch.positive_B[: len(similarity_BC)]
        if batch.excluded_BC is not None:
            similarity_BC = mask_excluded(similarity_BC, some_rows(batch.excluded_BC), positive_B)
        weights_BC = loss.negative_weights(similarity_BC, positive_B)
        if weights_BC is None or similarity_BC.shape[1] < 2:
            return
        is_negative_BC = negatives(similarity_BC, positive_B)
        weights_N = weights_BC[is_negative_BC]
        if not len(weights_N):  # all negatives are excluded as copies of the positives
            return
        floor = loss.min_weight
        module.log_dict(
            {
                "weights/mean": weights_N.mean(),
                "weights/share_clipped": (weights_N <= floor).float().mean(),
                "weights/effective_negatives": effective_negatives(weights_BC * is_negative_BC).mean(),
            },
            sync_dist=True,
        )
        module.log("weights/min", weights_N.min(), reduce_fx="min", sync_dist=True)
        self._logged += 1
        if self._logged % self.histogram_every == 1:
            for logger in trainer.loggers:
                if isinstance(logger, FaultTolerantWandbLogger):
                    logger.log_histogram("weights/histogram", weights_N, trainer.global_step)


def is_logged(trainer: L.Trainer) -> bool:
    """Whether the metrics of this step are logged."""
    return trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]  # Lightning sets it


class EpochLines(Callback):
    """Prints one line per epoch, in place of the progress bar of a terminal."""

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        metrics = trainer.callback_metrics
        shown = [f"{name} {metrics[name]:.4f}" for name in ("train/loss", "val/mrr") if name in metrics]
        seconds = time.perf_counter() - self._start
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {'  '.join(shown)}  {seconds:.0f} s", flush=True
        )
