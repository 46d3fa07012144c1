"""trainer.auto_batch: a step for which the device has no memory is made again, with half as many texts encoded at once.

The training ends where the step began, is saved as it was then, and goes on from that checkpoint with a smaller
`trainer.grad_cache_chunk`, as one that was stopped does (src.training.checkpointing). So the batch, its negatives
and the random numbers are the same, no gradient and no count is left of what failed, and the loader cuts all later
batches likewise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.memory import garbage_collection_cuda

from src.datamodule import CodeSearchData
from src.module import CodeSearchModule
from src.training.checkpointing import Moment, SaveLast, randomness
from src.utils.errors import ResourceError, first_line
from src.utils.resource_errors import is_out_of_memory

CHUNK, EVALUATED = "chunk", "eval_batch_size"
KEYS = {CHUNK: "trainer.grad_cache_chunk", EVALUATED: "data.eval_batch_size"}


class AutoBatch(Checkpoint):  # Lightning calls those last: SaveLast has put the random numbers back by then
    """Remembers where a step, or a batch of an evaluation, began; checkpoints hold what was found to fit.

    Args:
        asked: false: nothing is remembered, and what an earlier attempt found still holds.
        saving: saves the training.
    """

    def __init__(self, asked: bool, saving: SaveLast) -> None:
        self.asked = asked
        self.saving = saving
        self.found: dict[str, int] = {}  # attributes of the data
        self._between: dict[str, Any] = {}  # Lightning's counters before the epoch
        self._began: Moment | None = None
        # What of the data to halve; None where that is of no use, or where the weights may have changed already.
        self._size: str | None = None

    # What was found

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["auto_batch"] = dict(self.found)

    def on_load_checkpoint(self, trainer: L.Trainer, module: CodeSearchModule, checkpoint: dict[str, Any]) -> None:
        self.found = dict(checkpoint.get("auto_batch", {}))
        for name, number in self.found.items():  # before the optimiser asks the loader how many steps there are
            setattr(trainer.datamodule, name, number)
        module.replay = module.replay or CHUNK in self.found

    # Where it began

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._between = trainer.fit_loop.state_dict()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._between = trainer.fit_loop.state_dict()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.asked and batch_idx % trainer.accumulate_grad_batches == 0:
            self._remember(trainer, batch_idx)
            self._size = CHUNK

    def on_before_optimizer_step(self, *arguments: Any) -> None:
        self._size = None

    def on_validation_batch_start(self, trainer: L.Trainer, *arguments: Any) -> None:
        if self.asked and not trainer.sanity_checking:
            self._remember(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.completed, validating=True)
            self._size = EVALUATED

    def on_validation_batch_end(self, *arguments: Any) -> None:
        self._size = None

    def on_test_batch_start(self, *arguments: Any) -> None:
        self._size = EVALUATED if self.asked else None

    def on_test_batch_end(self, *arguments: Any) -> None:
        self._size = None

    def _remember(self, trainer: L.Trainer, batches: int, validating: bool = False) -> None:
        position = trainer.current_epoch, batches
        # Lightning takes an epoch that has begun, and of which no batch is done, for one whose last batch is done.
        loops = trainer.fit_loop.state_dict() if batches else self._between
        self._began = Moment(position, validating, randomness(), loops)

    # What is done about it

    def halve(self, trainer: L.Trainer, data: CodeSearchData, error: BaseException) -> bool:
        """Halves what `data` encodes at once, and says so; False where that cannot help."""
        if not is_out_of_memory(error) or self._size is None or getattr(data, self._size) == 1:
            return False
        before = getattr(data, self._size)
        at_once = min(before or data.batch_size, data.batch_size) if self._size == CHUNK else before
        self.found[self._size] = max(1, at_once // 2)
        setattr(data, self._size, self.found[self._size])
        where, again = "in an evaluation", "it begins anew"
        if self._size == CHUNK:
            where = f"at step {trainer.global_step + 1:,}"
            again = "the step is made again, with the same batch and the same negatives"
        print(
            f"trainer.auto_batch: the device is out of memory {where} ({first_line(error)}): {KEYS[self._size]} goes "
            f"from {'null' if before is None else before} to {self.found[self._size]}; {again}",
            flush=True,
        )
        return True

    def save(self, trainer: L.Trainer) -> None:
        """The training as it was where what failed began."""
        self.saving.save_as_of(trainer, self._began)


def fits(trainer: L.Trainer, module: CodeSearchModule, data: CodeSearchData, checkpoint: Path | None) -> bool:
    """Whether the training came to its end. False: it is to go on from last.ckpt, with another trainer.

    Raises what the training raised, but where the device was out of memory and a smaller chunk may help.
    """
    auto = _of(trainer)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
        return True
    except (RuntimeError, MemoryError) as error:
        if not auto.halve(trainer, data, error):
            raise
    # The error is gone from here on, and with it all that its frames held.
    module.forget()
    garbage_collection_cuda()
    auto.save(trainer)
    return False


def run_test(trainer: L.Trainer, module: CodeSearchModule, data: CodeSearchData) -> None:
    """The test of what `fits` has trained, in smaller batches where that is needed and asked for.

    Raises ResourceError where the device has no memory for it.
    """
    auto = _of(trainer)
    while True:
        try:
            return trainer.test(module, datamodule=data, verbose=False)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if not auto.halve(trainer, data, error):
                less = "python -m src.eval run=DIR tests it elsewhere"
                if not auto.asked:
                    less = "the same command with trainer.auto_batch=true goes on with smaller batches"
                raise ResourceError(
                    f"the device is out of memory in the test ({first_line(error)}). The training is finished and "
                    f"saved: {less}"
                ) from error
        module.forget()
        garbage_collection_cuda()


def _of(trainer: L.Trainer) -> AutoBatch:
    return next(callback for callback in trainer.callbacks if isinstance(callback, AutoBatch))
