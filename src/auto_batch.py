"""trainer.auto_batch: a step for which the device has no memory is made again, with half as many texts encoded at once.

The training ends where the step began, is saved as it was then, and goes on from that checkpoint with a smaller
`trainer.grad_cache_chunk`, as one that was stopped does (src.saving). So the batch, its negatives and the random
numbers are the same, no gradient and no count is left of what failed, and the loader cuts all later batches likewise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.memory import garbage_collection_cuda

from src.datamodule import CodeSearchData
from src.failures import first_line, is_out_of_memory
from src.module import CodeSearchModule
from src.saving import Moment, SaveLast, randomness


class AutoBatch(Checkpoint):  # Lightning calls those last: SaveLast has put the random numbers back by then
    """Remembers where a step, or a batch of a validation, began; checkpoints hold what was found to fit.

    Args:
        asked: false: nothing is remembered, and what an earlier attempt found still holds.
        saving: saves the training.
    """

    def __init__(self, asked: bool, saving: SaveLast) -> None:
        self.asked = asked
        self.saving = saving
        self.found: dict[str, int] = {}  # attributes of the data
        self._between: dict[str, Any] = {}  # Lightning's counters before the epoch
        self._began: Moment | None = None  # None where a smaller chunk is of no use: while the weights change, say

    def on_save_checkpoint(self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["auto_batch"] = dict(self.found)

    def on_load_checkpoint(self, trainer: L.Trainer, module: CodeSearchModule, checkpoint: dict[str, Any]) -> None:
        self.found = dict(checkpoint.get("auto_batch", {}))
        for name, number in self.found.items():  # before the optimiser asks the loader how many steps there are
            setattr(trainer.datamodule, name, number)
        module.replay = module.replay or "chunk" in self.found

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._between = trainer.fit_loop.state_dict()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._between = trainer.fit_loop.state_dict()

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self.asked and batch_idx % trainer.accumulate_grad_batches == 0:
            self._remember(trainer, batch_idx)

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Any) -> None:
        self._began = None

    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if self.asked and not trainer.sanity_checking:
            self._remember(trainer, trainer.fit_loop.epoch_loop.batch_progress.current.completed, validating=True)

    def on_validation_batch_end(self, *arguments: Any) -> None:
        self._began = None

    def _remember(self, trainer: L.Trainer, batches: int, validating: bool = False) -> None:
        position = trainer.current_epoch, batches
        # Lightning takes an epoch that has begun, and of which no batch is done, for one whose last batch is done.
        loops = trainer.fit_loop.state_dict() if batches else self._between
        self._began = Moment(position, validating, randomness(), loops)

    def halve(self, trainer: L.Trainer, data: CodeSearchData, error: BaseException) -> bool:
        """Halves what `data` encodes at once, and says so; False where that cannot help."""
        if self._began is None:
            return False
        name, key = ("chunk", "trainer.grad_cache_chunk")
        if self._began.validating:
            name, key = ("eval_batch_size", "data.eval_batch_size")
        before = getattr(data, name)
        at_once = min(before or data.batch_size, data.batch_size) if name == "chunk" else before
        if before == 1:
            return False
        self.found[name] = max(1, at_once // 2)
        setattr(data, name, self.found[name])
        where = f"in the validation after step {trainer.global_step:,}"
        again = "it begins anew"
        if not self._began.validating:
            where = f"at step {trainer.global_step + 1:,}"
            again = "the step is made again, with the same batch and the same negatives"
        print(
            f"trainer.auto_batch: the device is out of memory {where} ({first_line(error)}): {key} goes from "
            f"{'null' if before is None else before} to {self.found[name]}; {again}",
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
    auto = next(callback for callback in trainer.callbacks if isinstance(callback, AutoBatch))
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint)
        return True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) or not auto.halve(trainer, data, error):
            raise
    # The error is gone from here on, and with it all that its frames held.
    module.forget()
    garbage_collection_cuda()
    auto.save(trainer)
    return False
