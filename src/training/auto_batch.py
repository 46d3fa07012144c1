"""trainer.auto_batch: a step that runs out of memory is repeated with half as many texts encoded at once.

The training ends where the step began, is saved as it was then, and resumes from that checkpoint with a smaller
`trainer.grad_cache_chunk`, as one that was stopped does (src.training.checkpointing). So the batch, its negatives and
the random numbers are the same, the failed step leaves no gradient and no count, and the loader cuts all later batches
into the same chunks.
"""

from pathlib import Path
from typing import Any, Literal, cast

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.memory import garbage_collection_cuda

from src.datamodule import CodeSearchData
from src.module import CodeSearchModule
from src.training.checkpointing import SaveLast, TrainingPosition, rng_state
from src.utils.errors import ResourceError, first_line
from src.utils.resource_errors import is_out_of_memory

# Attributes of the data that can be halved, and the keys that set them.
KEYS: dict[str, str] = {"chunk": "trainer.grad_cache_chunk", "eval_batch_size": "data.eval_batch_size"}


class AutoBatch(Checkpoint):  # Lightning calls those last: SaveLast has restored the RNG state by then
    """Records where a step, or a batch of an evaluation, began; checkpoints hold the sizes that were found to fit.

    Args:
        enabled: if false, nothing is recorded, but the sizes that an earlier attempt found still hold.
        saving: saves the training.
    """

    def __init__(self, enabled: bool, saving: SaveLast) -> None:
        self.enabled = enabled
        self.saving = saving
        self.found: dict[str, int] = {}  # sizes by attribute of the data
        self._loops_between_epochs: dict[str, Any] = {}  # Lightning's counters before the epoch
        self._began: TrainingPosition | None = None
        # The attribute to halve; None where that is of no use, or where the weights may have changed already.
        self._size: Literal["chunk", "eval_batch_size"] | None = None

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["auto_batch"] = dict(self.found)

    def on_load_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        self.found = dict(checkpoint.get("auto_batch", {}))
        data: CodeSearchData = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it in `fit`
        for name, number in self.found.items():  # before the optimiser asks the loader for the number of steps
            setattr(data, name, number)
        if "chunk" in self.found:
            cast(CodeSearchModule, module).gradient_caching = True

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._loops_between_epochs = trainer.fit_loop.state_dict()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._loops_between_epochs = trainer.fit_loop.state_dict()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.enabled and batch_idx % trainer.accumulate_grad_batches == 0:
            self._record(trainer, batch_idx)
            self._size = "chunk"

    def on_before_optimizer_step(self, *arguments: Any) -> None:
        self._size = None

    def on_validation_batch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
        if self.enabled and not trainer.sanity_checking:
            self._record(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.completed, validating=True)
            self._size = "eval_batch_size"

    def on_validation_batch_end(self, *arguments: Any) -> None:
        self._size = None

    def on_test_batch_start(self, *arguments: Any) -> None:
        self._size = "eval_batch_size" if self.enabled else None

    def on_test_batch_end(self, *arguments: Any) -> None:
        self._size = None

    def _record(self, trainer: L.Trainer, batches: int, validating: bool = False) -> None:
        # Lightning takes an epoch that has begun, and of which no batch is done, for one whose last batch is done.
        loops = trainer.fit_loop.state_dict() if batches else self._loops_between_epochs
        self._began = TrainingPosition(trainer.current_epoch, batches, validating, rng_state(), loops)

    def halve(self, trainer: L.Trainer, data: CodeSearchData, error: BaseException) -> bool:
        """Halves the number of texts that `data` encodes at once, and says so; False where that cannot help."""
        size = self._size
        if not is_out_of_memory(error) or size is None or getattr(data, size) == 1:
            return False
        before = getattr(data, size)
        at_once = min(before or data.batch_size, data.batch_size) if size == "chunk" else before
        self.found[size] = max(1, at_once // 2)
        setattr(data, size, self.found[size])
        where, again = "in an evaluation", "the evaluation is repeated"
        if size == "chunk":
            where = f"at step {trainer.global_step + 1:,}"
            again = "the step is repeated with the same batch and the same negatives"
        print(
            f"trainer.auto_batch: the device is out of memory {where} ({first_line(error)}): {KEYS[size]} goes "
            f"from {'null' if before is None else before} to {self.found[size]}; {again}",
            flush=True,
        )
        return True

    def save(self, trainer: L.Trainer) -> None:
        """Saves the training as it was when the failed step or evaluation began."""
        assert self._began is not None  # `halve` found a size to halve, so something had begun
        self.saving.save_at(trainer, self._began)


def fit_or_halve(trainer: L.Trainer, module: CodeSearchModule, data: CodeSearchData, checkpoint: Path | None) -> bool:
    """Trains; False where the training ran out of memory and is to resume from last.ckpt, with another trainer.

    Raises what the training raised, except where the device was out of memory and a smaller chunk may help.
    """
    auto = _auto_batch_of(trainer)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
        return True
    except (RuntimeError, MemoryError) as error:
        if not auto.halve(trainer, data, error):
            raise
    # The error is gone from here on, and with it all that its frames held.
    module.reset_after_failure()
    garbage_collection_cuda()
    auto.save(trainer)
    return False


def run_test(trainer: L.Trainer, module: CodeSearchModule, data: CodeSearchData) -> None:
    """The test of what `fit_or_halve` has trained, in smaller batches where `trainer.auto_batch` needs them.

    Raises ResourceError where the device has no memory for it.
    """
    auto = _auto_batch_of(trainer)
    while True:
        try:
            trainer.test(module, datamodule=data, verbose=False)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if not auto.halve(trainer, data, error):
                remedy = "python -m src.eval run=DIR tests it elsewhere"
                if not auto.enabled:
                    remedy = "the same command with trainer.auto_batch=true resumes with smaller batches"
                raise ResourceError(
                    f"the device is out of memory in the test ({first_line(error)}). The training is finished and "
                    f"saved: {remedy}"
                ) from error
        module.reset_after_failure()
        garbage_collection_cuda()


def _auto_batch_of(trainer: L.Trainer) -> AutoBatch:
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it
    return next(callback for callback in callbacks if isinstance(callback, AutoBatch))
