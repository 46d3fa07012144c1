"""Stop or skip on a NaN or inf loss or gradient; never save such weights."""

import logging
from typing import Any, Literal, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch.nn.utils import get_total_norm

from src.datamodule import CodeSearchData
from src.module import CodeSearchModule
from src.utils.errors import NonFiniteError

log = logging.getLogger(__name__)

Policy = Literal["stop", "skip"]
PATIENCE = 20  # float16's scaler lowers its scale after an overflow, which is an error only this often in a row
SHOWN = 8  # ids of a batch in a line; train.log has all of them
ADVICE = "Lower optimizer.learning_rate, set trainer.precision=32-true or trainer.on_nonfinite=skip"


class NonFiniteGuard(Callback):
    """Checks the loss and the gradient of every step.

    Args:
        policy: `stop` ends the training with one line; `skip` leaves the weights, and AdamW's moments, as they were
            before such a step, prints which pairs were in it, and continues.
    """

    def __init__(self, policy: Policy = "stop") -> None:
        self.policy = policy
        self.skipped = 0
        self._overflows = 0  # in a row
        self._losses: list[torch.Tensor] = []  # of the batches since the last step

    @property
    def state_key(self) -> str:
        """The key of its state in checkpoints; earlier ones have this too."""
        return "Finite"

    def on_before_backward(self, trainer: L.Trainer, module: L.LightningModule, loss: torch.Tensor) -> None:
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        batches, loss, self._losses = len(self._losses), torch.stack(self._losses).sum(), []
        own = cast(CodeSearchModule, module)
        own.gradient_norm = norm = gradient_norm(optimizer)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of sharded parameters
        on_every_rank = trainer.strategy.reduce_boolean_decision  # they must all make a step, or none
        # One check for both: each makes the host wait for the device.
        if on_every_rank(bool(torch.isfinite(loss + norm))):
            self._overflows = 0
            return
        is_loss = not on_every_rank(bool(torch.isfinite(loss)))
        if not is_loss and getattr(trainer.precision_plugin, "scaler", None) is not None:
            self._overflows += 1
            if self._overflows < PATIENCE:
                return  # the scaler makes no step, and lowers its scale
        what = "loss" if is_loss else "gradient"
        batch, epoch = trainer.fit_loop.epoch_loop.batch_idx, trainer.current_epoch
        data: CodeSearchData = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it in `fit`
        ids = [id for b in range(batch + 1 - batches, batch + 1) for id in data.pair_ids(epoch, b)]
        log.warning("the %s is not finite; pairs: %s", what, ", ".join(ids))
        shown = ", ".join(ids[:SHOWN]) + (f" and {len(ids) - SHOWN} more (train.log)" if len(ids) > SHOWN else "")
        where = f"at step {trainer.global_step + 1:,}, batch {batch + 1} of epoch {epoch + 1}"
        message = f"the {what} is not finite (inf or NaN) {where}: pairs {shown}"
        weights = [name for name, parameter in module.named_parameters() if not _is_finite(parameter.detach())]
        if self.policy == "stop" or weights:
            hint = f"{weights[0]} among {len(weights)} tensors of weights is not finite either" if weights else ADVICE
            raise NonFiniteError(f"{message}; the step was not made, the last checkpoint is intact. {hint}")
        own.gradient_norm = None
        optimizer.zero_grad(set_to_none=True)  # the optimiser leaves parameters without a gradient alone
        self.skipped += 1
        if trainer.is_global_zero:
            print(f"skipped: {message}", flush=True)

    def state_dict(self) -> dict[str, int]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.skipped = state["skipped"]


def check_finite(checkpoint: dict[str, Any]) -> None:
    """Raises NonFiniteError where a checkpoint's weights, or the optimiser's moments, hold inf or NaN."""
    nonfinite = [name for name, tensor in checkpoint.get("state_dict", {}).items() if not _is_finite(tensor)]
    nonfinite += [
        f"a moment of parameter {index}"
        for state in checkpoint.get("optimizer_states", ())
        for index, moments in state["state"].items()
        if not all(_is_finite(moment) for moment in moments.values())
    ]
    if nonfinite:
        raise NonFiniteError(
            f"after step {checkpoint['global_step']:,} {nonfinite[0]} (of {len(nonfinite)} such tensors) holds inf or "
            f"NaN; it was not saved, the last checkpoint is intact. {ADVICE}"
        )


def gradient_norm(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """() the norm of all gradients; inf or NaN where one of them holds such a number."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return get_total_norm(gradients)


def _is_finite(tensor: Any) -> bool:
    return not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
