"""The mean loss of a batch without its (B, C) matrices: memory O(rows of a block x C).

Shape letters: B queries (rows), C codes (columns), D embedding size, R rows of a block.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from src.losses.base import Loss, at_least_float32
from src.utils.errors import InputError
from src.utils.lazy_matrix import Matrix
from src.utils.matmul import product

AUTO: Literal["auto"] = "auto"
Block = int | Literal["auto"] | None
# `auto`, measured on a CPU with D = 256: up to 256 x 256 scores, the whole matrix is as fast through autograd.
# Above that, blocks that fit into the cache are faster, with at least 128 rows, since smaller products are slow.
WHOLE, SCORES, ROWS = 2**16, 2**19, 128
# Other devices have more memory and need larger blocks to be busy. Chosen, not measured.
ELSEWHERE = 2**26


def scores(queries_BD: Tensor, codes_CD: Tensor, score_scale: float = 1.0) -> Tensor:
    """scores_BC in float32 or better under any autocast."""
    with torch.autocast(queries_BD.device.type, enabled=False):
        return (score_scale * at_least_float32(queries_BD)) @ at_least_float32(codes_CD).T


def mean_loss(
    loss: Loss,
    queries_BD: Tensor,
    codes_CD: Tensor,
    positive_B: Tensor,
    similarity: Matrix | None = None,
    excluded: Matrix | None = None,
    score_scale: float = 1.0,
    block: Block = AUTO,
) -> Tensor:
    """loss(score_scale * queries @ codes.T, ...).mean(), and its gradient, in blocks of rows where that pays.

    The loss of a row depends on that row of scores alone, so rows can be processed a few at a time. Their gradient is
    computed in the forward pass, while their scores exist: only the gradients of the embeddings are kept, and nothing
    is computed twice.

    Args:
        queries_BD, codes_CD: any float dtype; the arithmetic is float32 or better, under any autocast.
        positive_B, similarity, excluded: as `Loss.forward` takes them; the latter two may be a `LazyMatrix`.
        block: rows of a block; `auto` chooses by size and device; None works on the whole matrix, through autograd.

    The result can be differentiated once. A loss with parameters of its own cannot be computed in blocks: InputError.
    """
    has_parameters = any(parameter.requires_grad for parameter in loss.parameters())
    if has_parameters and block not in (AUTO, None):
        raise InputError(
            f"{type(loss).__name__} has parameters, which get no gradient from blocks of rows: expected "
            f"model.loss_block=null or auto, found {block}"
        )

    def row_losses(scores_RC: Tensor, rows: slice) -> Tensor:
        similarity_RC = similarity[rows] if similarity is not None and loss.needs_similarity else None
        excluded_RC = None if excluded is None else excluded[rows]
        loss_R: Tensor = loss(scores_RC, positive_B[rows], similarity_RC, excluded_RC)
        return loss_R

    R = rows_of_a_block(block, len(queries_BD), len(codes_CD), queries_BD.device.type)
    if R is None or has_parameters:
        return row_losses(scores(queries_BD, codes_CD, score_scale), slice(None)).mean()
    queries_BD, codes_CD = at_least_float32(queries_BD), at_least_float32(codes_CD)
    if not torch.is_grad_enabled():
        queries_BD, codes_CD = queries_BD.detach(), codes_CD.detach()
    # torch declares no types for `apply`
    mean: Tensor = _Blocks.apply(queries_BD, codes_CD, row_losses, score_scale, R)  # type: ignore[no-untyped-call]
    return mean


def rows_of_a_block(block: Block, B: int, C: int, device: str) -> int | None:
    """How many rows are taken at a time; None: the whole matrix, through autograd."""
    if block != AUTO:
        return block
    whole, scores = (WHOLE, SCORES) if device == "cpu" else (ELSEWHERE, ELSEWHERE)
    return None if whole >= B * C else max(ROWS, scores // C)


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries_BD: Tensor,
        codes_CD: Tensor,
        row_losses: Callable[[Tensor, slice], Tensor],
        score_scale: float,
        R: int,
    ) -> Tensor:
        wants_gradients = any(ctx.needs_input_grad)
        B = len(queries_BD)
        grad_queries_BD = torch.empty_like(queries_BD)
        grad_codes_DC = codes_CD.new_zeros(codes_CD.shape[::-1])
        total = queries_BD.new_zeros(())
        with torch.autocast(queries_BD.device.type, enabled=False):
            for start in range(0, B, R):
                rows = slice(start, min(start + R, B))
                scaled_RD: Tensor = score_scale * queries_BD[rows]
                scores_RC = product(scaled_RD, codes_CD).requires_grad_(wants_gradients)
                with torch.enable_grad():
                    sum_ = row_losses(scores_RC, rows).sum()
                total += sum_.detach()
                if wants_gradients:
                    (grad_RC,) = torch.autograd.grad(sum_, scores_RC)
                    grad_queries_BD[rows] = product(grad_RC, codes_CD.T)
                    grad_codes_DC += product(scaled_RD.T, grad_RC.T)
        if wants_gradients:
            ctx.save_for_backward(grad_queries_BD.mul_(score_scale / B), (grad_codes_DC / B).T.contiguous())
        return total / B

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return (*(grad * saved for saved in ctx.saved_tensors), None, None, None)
