"""Several devices, one process each: what each of them does, and how they share what they made.

Shape letters: W devices, b rows of a batch on one device, B = W b pairs of the whole batch (C = B columns).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
import torch.distributed as dist
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn

from src.utils.errors import InputError


@dataclass(frozen=True)
class Share:
    """The part of device `rank` in what `world` devices do together. The default is all of it."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of(cls, trainer: Trainer | None) -> Share:
        """Of a trainer's devices, not of the process group: an estimator's model trains alone within a larger run."""
        return cls() if trainer is None else cls(trainer.global_rank, trainer.world_size)

    def rows(self, total: int) -> slice:
        """Its own of `total` rows: consecutive, in the order of the devices, at most one more than another's."""
        return slice(total * self.rank // self.world, total * (self.rank + 1) // self.world)


def all_columns(codes_bD: Tensor, share: Share) -> Tensor:
    """codes_CD of all devices in their order, with gradient; every device holds equally many.

    Why the gradient is that of one device with the whole batch: device r computes L_r, the mean of its b row losses,
    against all columns. The loss of the batch is the mean of B = W b rows, L = (1 / W) sum_r L_r. Its gradient by the
    codes of device r has a part from every device's rows: the backward pass of the gathering sums what all devices
    found for these columns. What device r then holds as gradient of the parameters, g_r, is that of sum_s L_s through
    the queries and codes that r embedded, and sum_r g_r that through all of them: W times the gradient of L. DDP and
    FSDP average over devices, (1 / W) sum_r g_r, which is the gradient of L exactly, so clipping sees it too.
    """
    return codes_bD if share.world == 1 else _AllColumns.apply(codes_bD, share)


class _AllColumns(torch.autograd.Function):
    # Of torch's own two, one is deprecated and the other private; both changed between versions that we support.
    @staticmethod
    def forward(ctx, codes_bD: Tensor, share: Share) -> Tensor:
        ctx.share = share
        parts = [torch.empty_like(codes_bD, memory_format=torch.contiguous_format) for _ in range(share.world)]
        dist.all_gather(parts, codes_bD.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient_CD: Tensor) -> tuple[Tensor, None]:
        summed_CD = gradient_CD.clone(memory_format=torch.contiguous_format)
        # All of it and not reduce_scatter, which gloo lacks in versions that we support; it is small beside a model's.
        dist.all_reduce(summed_CD)
        return summed_CD[ctx.share.rows(len(summed_CD))], None


def all_rows(rows: Tensor, share: Share, device: torch.device | None = None) -> Tensor:
    """The rows of all devices in their order, on every device; without gradient. They may hold different numbers.

    Args:
        device: where the devices exchange, if not where `rows` are; GPUs exchange nothing that is on the CPU.
    """
    if share.world == 1:
        return rows
    sent = rows.detach().to(device or rows.device).contiguous()
    sizes = [torch.zeros((), dtype=torch.long, device=sent.device) for _ in range(share.world)]
    dist.all_gather(sizes, torch.tensor(len(sent), device=sent.device))
    most = max(int(size) for size in sizes)
    padded = torch.cat([sent, sent.new_zeros(most - len(sent), *sent.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(share.world)]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(size)] for part, size in zip(parts, sizes)]).to(rows.device)


def own_randomness(share: Share) -> None:
    """Random numbers of its own for every device: the same dropout for the first row of each would be no chance."""
    if share.world > 1:
        torch.manual_seed(torch.initial_seed() + share.rank)


def load_state(module: LightningModule, state: dict[str, Tensor], share: Share) -> None:
    """Loads the tensors that the first device holds in `state` into every device's module, whole or sharded."""
    if share.world == 1:
        module.load_state_dict(state)
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(module, state if share.rank == 0 else {}, options=options)


def is_sharded(trainer: Trainer | None) -> bool:
    """Whether the trainer splits the parameters themselves over its devices."""
    return trainer is not None and isinstance(trainer.strategy, ModelParallelStrategy | FSDPStrategy)


def shard(encoder: nn.Module, mesh: dist.DeviceMesh) -> None:
    """Splits the encoder's parameters over the devices of the mesh (FSDP2), block by block where it has blocks."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    if any(isinstance(parameter, DTensor) for parameter in encoder.parameters()):
        return  # the training before this test
    # Embeddings cut to their first dimensions are a view; nothing changes them in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    blocks = {name for module in encoder.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    for module in encoder.modules():
        if type(module).__name__ in blocks:
            fully_shard(module, mesh=mesh)
    fully_shard(encoder, mesh=mesh)


def loader_workers(asked: int | str, device: str) -> int:
    """What `data.num_workers` asks for, on a device of this type: `auto` is 0 on a CPU, 1 elsewhere.

    A process beside the one that trains takes a core from it where it trains on a CPU. Worse, it is a fork: every page
    of memory that the trainer holds is copied when it is next written to, which took longer than the step itself.

    Raises InputError where it is neither auto nor a whole number from 0.
    """
    if asked == "auto":
        return 0 if device == "cpu" else 1
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 0:
        raise InputError(f"data.num_workers must be auto or a number of processes from 0, found {asked!r}")
    return asked
