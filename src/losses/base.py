"""The loss contract, and the few tensor operations that every loss is made of.

s_ij = score of query i and code j, p = the positive's column, n = the row's negatives: C - 1, less those excluded,
sigma_ij = softmax over the row's negatives of similarity_ij / t (t = `weight_temperature`).
"""

from __future__ import annotations

import torch
from torch import nn

from src.errors import InputError


class Loss(nn.Module):
    """`loss(scores_BC, positive_B, similarity_BC=None, excluded_BC=None) -> loss_B`; the module averages.

    Args of `forward`:
        scores_BC: score of every query (row) and candidate (column), any float dtype, computed in float32 or better.
        positive_B: column of each row's own code. Rows may be any subset of a larger batch.
        similarity_BC: how alike query and candidate are by the estimator; higher = less negative. No gradient flows
            into it. Ignored where `needs_similarity` is False.
        excluded_BC: bool, True where the column is no negative of the row, such as a copy of its positive. The row's
            value is that of the row without those columns, and they get no gradient. Ignored on the positive.

    Finite, with finite gradients, for any finite scores. Raises InputError for a shape or type that does not fit.
    """

    needs_similarity: bool = False

    def forward(
        self,
        scores_BC: torch.Tensor,
        positive_B: torch.Tensor,
        similarity_BC: torch.Tensor | None = None,
        excluded_BC: torch.Tensor | None = None,
    ) -> torch.Tensor:
        scores_BC = _at_least_float32(scores_BC)
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
        is_positive_BC = torch.zeros_like(scores_BC, dtype=torch.bool).scatter_(1, positive_B[:, None], True)
        if excluded_BC is not None:
            scores_BC = without(scores_BC, excluded_BC, is_positive_BC)
            if self.needs_similarity:
                similarity_BC = without(similarity_BC, excluded_BC, is_positive_BC)
        # Autocast would run some of these operations in half precision.
        with torch.autocast(scores_BC.device.type, enabled=False):
            return self.rows(scores_BC, is_positive_BC, similarity_BC)

    def rows(
        self, scores_BC: torch.Tensor, is_positive_BC: torch.Tensor, similarity_BC: torch.Tensor | None
    ) -> torch.Tensor:
        """The row losses; inputs are checked, in float32 or better, and `similarity_BC` needs no gradient.

        An excluded column holds the lowest finite number in both: every softmax passes it over by itself, and what
        counts columns asks `negatives`.
        """
        raise NotImplementedError

    def negative_weights(self, similarity_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor | None:
        """weights_BC that multiply e^{s_ij} of the negatives, for logging; None where the loss has no such weights.

        The positive weighs 1, a column that `without` took out 0.
        """
        return None

    def check_negatives(self, negatives: int) -> None:
        """Raises InputError when the loss has no meaning with this many negatives per row."""


def without(values_BC: torch.Tensor, excluded_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor:
    """Scores or similarities whose excluded columns, the positive's apart, are marked as absent."""
    if excluded_BC.shape != values_BC.shape or excluded_BC.dtype != torch.bool:
        raise InputError(
            f"excluded_BC must be bool of the shape of scores_BC: expected {tuple(values_BC.shape)}, "
            f"found {excluded_BC.dtype} {tuple(excluded_BC.shape)}"
        )
    # Finite, not -inf: a weight of 0 times its log-probability stays 0.
    return values_BC.masked_fill(excluded_BC & ~is_positive_BC, torch.finfo(values_BC.dtype).min)


def negatives(values_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor:
    """bool (B, C): the columns that are neither the row's positive nor absent (see `without`)."""
    return (values_BC > torch.finfo(values_BC.dtype).min) & ~is_positive_BC


def weighted_infonce_rows(
    scores_BC: torch.Tensor, is_positive_BC: torch.Tensor, weights_BC: torch.Tensor | None = None
) -> torch.Tensor:
    """-s_ip + log(e^{s_ip} + sum_j w_ij e^{s_ij}) of each row, through log w + s: exact at any score.

    A weight of 0 removes its negative. The positive's own weight is 1 whatever `weights_BC` holds there.
    """
    logits_BC = scores_BC
    if weights_BC is not None:
        logits_BC = scores_BC + weights_BC.masked_fill(is_positive_BC, 1.0).log()
    # log_softmax, not logsumexp: its gradient keeps full precision where the sum itself is large.
    return -positive_scores(logits_BC.log_softmax(dim=1), is_positive_BC)


def positive_scores(scores_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor:
    """The positive's entry of each row, (B,)."""
    return scores_BC.masked_fill(~is_positive_BC, 0.0).sum(dim=1)


def negative_softmax(similarity_BC: torch.Tensor, is_positive_BC: torch.Tensor, temperature: float) -> torch.Tensor:
    """sigma_BC: softmax over each row's negatives of similarity / temperature; 0 elsewhere.

    The row's extreme is subtracted before the division, so that a tiny temperature cannot overflow.
    """
    low, high = torch.finfo(similarity_BC.dtype).min, torch.finfo(similarity_BC.dtype).max
    is_other_BC = ~negatives(similarity_BC, is_positive_BC)
    if temperature > 0:
        pivot_B1 = similarity_BC.masked_fill(is_other_BC, low).amax(dim=1, keepdim=True)
    else:
        pivot_B1 = similarity_BC.masked_fill(is_other_BC, high).amin(dim=1, keepdim=True)
    logits_BC = ((similarity_BC - pivot_B1) / temperature).masked_fill(is_other_BC, low)
    return logits_BC.softmax(dim=1).masked_fill(is_other_BC, 0.0)


def negative_log_softmax(scores_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor:
    """log softmax over each row's negatives of the scores; 0 on the positive."""
    low = torch.finfo(scores_BC.dtype).min
    return scores_BC.masked_fill(is_positive_BC, low).log_softmax(dim=1).masked_fill(is_positive_BC, 0.0)


def check_temperature(weight_temperature: float) -> float:
    """Returns the temperature, or raises InputError where similarity / temperature has no meaning."""
    if weight_temperature == 0:
        raise InputError("loss.weight_temperature must not be 0: similarity is divided by it; try 1.0")
    return float(weight_temperature)


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
