"""The loss contract, and the few tensor operations that every loss is made of.

s_ij = score of query i and code j, p = the positive's column, n = the row's negatives: C - 1, less those excluded,
sigma_ij = softmax over the row's negatives of similarity_ij / t (t = `weight_temperature`).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from src.utils.errors import InputError


class Loss(nn.Module, ABC):
    """`loss(scores_BC, positive_B, similarity_BC=None, excluded_BC=None) -> loss_B`; the module averages.

    Args of `forward`:
        scores_BC: score of every query (row) and candidate (column), any float dtype, computed in float32 or better.
        positive_B: column of each row's own code. Rows may be any subset of a larger batch.
        similarity_BC: how similar query and candidate are by the estimator; higher = less negative. No gradient flows
            into it. Ignored where `needs_similarity` is False.
        excluded_BC: bool, True where the column is no negative of the row, such as a copy of its positive. The row's
            value is that of the row without those columns, and they get no gradient. Ignored on the positive.

    Finite, with finite gradients, for any finite scores. Raises InputError for a shape or type that does not fit.

    A new loss implements `row_losses`; everything else has a default.
    """

    needs_similarity: bool = False  # where False, no estimator is fitted for the loss, and no table or label names one
    min_weight: float = 0.0  # floor of the weights that `negative_weights` gives

    def forward(
        self,
        scores_BC: Tensor,
        positive_B: Tensor,
        similarity_BC: Tensor | None = None,
        excluded_BC: Tensor | None = None,
    ) -> Tensor:
        scores_BC = at_least_float32(scores_BC)
        if positive_B.shape != scores_BC.shape[:1]:
            raise InputError(
                f"positive_B must hold one column per row: expected shape ({scores_BC.shape[0]},), "
                f"found {tuple(positive_B.shape)}"
            )
        if self.needs_similarity:
            if similarity_BC is None:
                raise InputError(
                    f"{type(self).__name__} needs similarity_BC and found None: choose an estimator "
                    "(weights=bm25) or a loss without one (loss=infonce)"
                )
            if similarity_BC.shape != scores_BC.shape:
                raise InputError(
                    f"similarity_BC must have the shape of scores_BC: expected {tuple(scores_BC.shape)}, "
                    f"found {tuple(similarity_BC.shape)}"
                )
            similarity_BC = similarity_BC.detach().to(scores_BC.dtype)
        else:
            similarity_BC = scores_BC.new_empty(0)
        if excluded_BC is not None:
            scores_BC = mask_excluded(scores_BC, excluded_BC, positive_B)
            if self.needs_similarity:
                similarity_BC = mask_excluded(similarity_BC, excluded_BC, positive_B)
        # Autocast would run some of these operations in half precision.
        with torch.autocast(scores_BC.device.type, enabled=False):
            return self.row_losses(scores_BC, positive_B, similarity_BC)

    @abstractmethod
    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        """loss_B. The inputs are checked, in float32 or better, and `similarity_BC` needs no gradient.

        `similarity_BC` is empty where `needs_similarity` is False. An excluded column holds the lowest finite number in
        both matrices, so that every softmax ignores it; code that counts columns calls `count_negatives`.
        """

    def negative_weights(self, similarity_BC: Tensor, positive_B: Tensor) -> Tensor | None:
        """weights_BC that multiply e^{s_ij} of the negatives, a new tensor; None where the loss has no such weights.

        The positive weighs 1. The weight of a column that `mask_excluded` removed has no effect and no meaning.
        """
        return None

    def check_negatives(self, negatives: int) -> None:
        """Raises InputError when the loss has no meaning with this many negatives per row.

        Where exclusion leaves a row so few negatives, the value of that row is InfoNCE's.
        """


class EstimatedDistributionLoss(Loss):
    """A loss that reads the similarities of a row as a distribution over its negatives, sigma.

    Args:
        weight_temperature: t of sigma = softmax(similarity / t); not 0.
    """

    needs_similarity = True

    def __init__(self, weight_temperature: float) -> None:
        super().__init__()
        if weight_temperature == 0:
            raise InputError("loss.weight_temperature must not be 0: similarity is divided by it; try 1.0")
        self.weight_temperature = float(weight_temperature)

    def sigma(self, similarity_BC: Tensor, positive_B: Tensor) -> Tensor:
        """sigma_BC, see `negative_softmax`."""
        return negative_softmax(similarity_BC, positive_B, self.weight_temperature)


def mask_excluded(values_BC: Tensor, excluded_BC: Tensor, positive_B: Tensor) -> Tensor:
    """Scores or similarities with the lowest finite number in the excluded columns, but never in the positive's."""
    if excluded_BC.shape != values_BC.shape or excluded_BC.dtype != torch.bool:
        raise InputError(
            f"excluded_BC must be bool of the shape of scores_BC: expected {tuple(values_BC.shape)}, "
            f"found {excluded_BC.dtype} {tuple(excluded_BC.shape)}"
        )
    # Finite, not -inf: a weight of 0 times its log-probability stays 0.
    return values_BC.masked_fill(excluded_BC.scatter(1, positive_B[:, None], False), _lowest(values_BC))


def negatives(values_BC: Tensor, positive_B: Tensor) -> Tensor:
    """bool (B, C): the columns that are neither the row's positive nor excluded (see `mask_excluded`)."""
    return (values_BC > _lowest(values_BC)).scatter_(1, positive_B[:, None], False)


def count_negatives(values_BC: Tensor, positive_B: Tensor) -> Tensor:
    """n (B, 1), of the values' dtype: how many `negatives` each row has."""
    B, C = values_BC.shape
    # Counting costs as much as a softmax; checking that no column is excluded does not. On a GPU it would be a sync.
    if values_BC.device.type == "cpu" and values_BC.numel() and values_BC.amin() > _lowest(values_BC):
        return values_BC.new_full((B, 1), C - 1)
    return negatives(values_BC, positive_B).sum(dim=1, keepdim=True, dtype=values_BC.dtype)


def weighted_infonce_rows(scores_BC: Tensor, positive_B: Tensor, log_weights_BC: Tensor | None = None) -> Tensor:
    """-s_ip + log(e^{s_ip} + sum_j w_ij e^{s_ij}) of each row, through log w + s: exact at any score.

    Args:
        log_weights_BC: log w, 0 on the positive; -inf removes a negative.
    """
    logits_BC = scores_BC if log_weights_BC is None else scores_BC + log_weights_BC
    # log_softmax, not logsumexp: its gradient keeps full precision where the sum itself is large.
    return -gather_column(logits_BC.log_softmax(dim=1), positive_B)


def gather_column(values_BC: Tensor, column_B: Tensor) -> Tensor:
    """Each row's entry in its column, (B,)."""
    return values_BC.gather(1, column_B[:, None]).squeeze(1)


def fill_column(values_BC: Tensor, column_B: Tensor, value: float) -> Tensor:
    """A copy with `value` in each row's column. Many times faster than a mask on a CPU."""
    return values_BC.scatter(1, column_B[:, None], value)


def negative_softmax(similarity_BC: Tensor, positive_B: Tensor, temperature: float) -> Tensor:
    """sigma_BC: softmax over each row's negatives of similarity / temperature; 0 elsewhere. A new tensor.

    The row's extreme is subtracted before the division, so that a tiny temperature cannot overflow.
    """
    lowest = _lowest(similarity_BC)
    logits_BC = fill_column(similarity_BC, positive_B, lowest)
    if temperature < 0:  # the least similar comes first, the excluded still last
        is_excluded_BC = logits_BC == lowest
        logits_BC = logits_BC.neg_().masked_fill_(is_excluded_BC, lowest)
    pivot_B1 = logits_BC.amax(dim=1, keepdim=True)
    logits_BC.sub_(pivot_B1).div_(abs(temperature)).scatter_(1, positive_B[:, None], lowest)
    return logits_BC.softmax(dim=1).mul_(pivot_B1 > lowest)  # a row without negatives: 0 everywhere


def _lowest(values_BC: Tensor) -> float:
    return torch.finfo(values_BC.dtype).min


def at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def effective_negatives(weights_BC: Tensor) -> Tensor:
    """(sum w)^2 / sum w^2 of each row, (B,); 0 for a row of zeros. Source: Kish 1965, the effective sample size.

    `weights_BC` holds 0 where a column is no negative.
    """
    return weights_BC.sum(dim=1).square() / weights_BC.square().sum(dim=1).clamp_min(1e-12)
