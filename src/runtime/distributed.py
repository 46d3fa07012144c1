"""Several devices, one process (rank) each: which part of the work is whose, and how tensors are gathered.

Shape letters: W ranks, b rows of a batch on one rank, B = W b pairs of the whole batch (C = B columns).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn


@dataclass(frozen=True)
class RankSlice:
    """The part of rank `rank` in the work of `world_size` ranks. The default is all of it."""

    rank: int = 0
    world_size: int = 1

    @classmethod
    def of(cls, trainer: Trainer | None) -> RankSlice:
        """From a trainer, not from the process group: an estimator's model trains on one device within a larger run."""
        return cls() if trainer is None else cls(trainer.global_rank, trainer.world_size)

    def rows(self, total: int) -> slice:
        """This rank's part of `total` rows: consecutive, in the order of ranks, at most one more than another's."""
        return slice(total * self.rank // self.world_size, total * (self.rank + 1) // self.world_size)


def all_gather_with_grad(codes_bD: Tensor, rank_slice: RankSlice) -> Tensor:
    """codes_CD of all ranks in their order, with gradient; every rank holds equally many.

    Why the gradient is that of one device with the whole batch: rank r computes L_r, the mean of its b row losses,
    against all columns. The loss of the batch is the mean of B = W b rows, L = (1 / W) sum_r L_r. Its gradient by the
    codes of rank r has a part from every rank's rows: the backward pass of the all-gather sums what all ranks found
    for these columns. What rank r then holds as gradient of the parameters, g_r, is that of sum_s L_s through the
    queries and codes that r embedded, and sum_r g_r that through all of them: W times the gradient of L. DDP and FSDP
    average over ranks, (1 / W) sum_r g_r, which is the gradient of L exactly, so clipping sees it too.
    """
    return codes_bD if rank_slice.world_size == 1 else _AllGatherWithGrad.apply(codes_bD, rank_slice)


class _AllGatherWithGrad(torch.autograd.Function):
    # Of torch's own two, one is deprecated and the other private; both changed between versions that we support.
    @staticmethod
    def forward(ctx: Any, codes_bD: Tensor, rank_slice: RankSlice) -> Tensor:
        ctx.rank_slice = rank_slice
        codes_bD = codes_bD.contiguous()
        parts = [torch.empty_like(codes_bD) for _ in range(rank_slice.world_size)]
        dist.all_gather(parts, codes_bD)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient_CD: Tensor) -> tuple[Tensor, None]:
        summed_CD = gradient_CD.clone(memory_format=torch.contiguous_format)
        # all_reduce and not reduce_scatter, which gloo lacks in versions that we support; a model's own is far larger.
        dist.all_reduce(summed_CD)
        return summed_CD[ctx.rank_slice.rows(len(summed_CD))], None


def all_gather_rows(rows: Tensor, rank_slice: RankSlice, device: torch.device | None = None) -> Tensor:
    """The rows of all ranks in their order, on every rank, without gradient; ranks may hold different numbers of rows.

    Args:
        device: where the ranks exchange, if not where `rows` are; GPUs exchange nothing that is on the CPU.
    """
    if rank_slice.world_size == 1:
        return rows
    sent = rows.detach().to(device or rows.device).contiguous()
    sizes = [torch.zeros((), dtype=torch.long, device=sent.device) for _ in range(rank_slice.world_size)]
    dist.all_gather(sizes, torch.tensor(len(sent), device=sent.device))
    most = max(int(size) for size in sizes)
    padded = torch.cat([sent, sent.new_zeros(most - len(sent), *sent.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(rank_slice.world_size)]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(size)] for part, size in zip(parts, sizes)]).to(rows.device)


def seed_per_rank(rank_slice: RankSlice) -> None:
    """A seed of its own for every rank: with one seed, row i of every rank would get the same dropout mask."""
    if rank_slice.world_size > 1:
        torch.manual_seed(torch.initial_seed() + rank_slice.rank)


def load_state(module: LightningModule, state: dict[str, Tensor], rank_slice: RankSlice) -> None:
    """Loads the tensors that rank 0 holds in `state` into every rank's module, whole or sharded."""
    if rank_slice.world_size == 1:
        module.load_state_dict(state)
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    given: dict[str, Any] = dict(state) if rank_slice.rank == 0 else {}
    set_model_state_dict(module, given, options=options)


def is_sharded(trainer: Trainer | None) -> bool:
    """Whether the trainer shards the parameters over its devices."""
    return trainer is not None and isinstance(trainer.strategy, ModelParallelStrategy | FSDPStrategy)


def shard(encoder: nn.Module, mesh: dist.DeviceMesh) -> None:
    """Shards the encoder's parameters over the devices of the mesh (FSDP2), block by block where it has blocks."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    if any(isinstance(parameter, DTensor) for parameter in encoder.parameters()):
        return  # sharded by the training before this test
    # Embeddings cut to their first dimensions are a view; nothing changes them in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    for block in _blocks(encoder):
        fully_shard(block, mesh=mesh)
    fully_shard(encoder, mesh=mesh)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a transformer, which its outermost lists of modules hold, and the modules next to these lists."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        elif any(isinstance(inside, nn.ModuleList) for inside in child.modules()):
            yield from _blocks(child)
        elif any(True for _ in child.parameters()):
            yield child


def loader_workers(asked: int | Literal["auto"], device: str) -> int:
    """The number of loader workers for `data.num_workers` on a device of this type: `auto` is 0 on a CPU, 1 elsewhere.

    Where the training runs on a CPU, a worker takes a core from it. Worse, it is a fork: every page of memory that the
    trainer holds is copied when it is next written to, which took longer than the step itself.
    """
    if asked == "auto":
        return 0 if device == "cpu" else 1
    return asked
