"""Binary cross entropy of the softmax probabilities against soft labels."""

from __future__ import annotations

import torch

from src.losses.base import Loss, check_temperature, negative_softmax, negatives


class BCE(Loss):
    """mean_j -(y_ij log p_ij + (1 - y_ij) log(1 - p_ij)), p_i = softmax(s_i), y = 1 on the positive, sigma_ij else.

    Args:
        weight_temperature: t of sigma = softmax(similarity / t).

    Source: the baseline of the same name in arXiv 2310.08069. Departure from its code: log p and log(1 - p) are exact
    where torch's binary cross entropy clamps them at -100.
    """

    needs_similarity = True

    def __init__(self, weight_temperature: float) -> None:
        super().__init__()
        self.weight_temperature = check_temperature(weight_temperature)

    def rows(
        self, scores_BC: torch.Tensor, is_positive_BC: torch.Tensor, similarity_BC: torch.Tensor | None
    ) -> torch.Tensor:
        sigma_BC = negative_softmax(similarity_BC, is_positive_BC, self.weight_temperature)
        log_p_BC = scores_BC.log_softmax(dim=1)
        target_BC = sigma_BC.masked_fill(is_positive_BC, 1.0)
        # 1 - y is 0 on the positive: dropping that term keeps 0 * log 0 out of a row without negatives.
        complement_BC = ((1.0 - sigma_BC) * _log_one_minus_softmax(scores_BC)).masked_fill(is_positive_BC, 0.0)
        columns_B = 1 + negatives(scores_BC, is_positive_BC).sum(dim=1)
        return -(target_BC * log_p_BC + complement_BC).sum(dim=1) / columns_B


def _log_one_minus_softmax(scores_BC: torch.Tensor) -> torch.Tensor:
    """log(1 - softmax(s)_j), exact also where softmax(s)_j rounds to 1.

    Only the row's largest score can have p > 1/2: its 1 - p is summed from the others, the rest goes through log1p.
    """
    if scores_BC.shape[1] == 1:
        return torch.zeros_like(scores_BC)  # no other candidate: never used, kept finite
    is_largest_BC = torch.zeros_like(scores_BC, dtype=torch.bool).scatter_(1, scores_BC.argmax(1, keepdim=True), True)
    low = torch.finfo(scores_BC.dtype).min
    others_B1 = scores_BC.masked_fill(is_largest_BC, low).logsumexp(dim=1, keepdim=True)
    largest_B1 = others_B1 - scores_BC.logsumexp(dim=1, keepdim=True)
    rest_BC = torch.log1p(-scores_BC.softmax(dim=1).masked_fill(is_largest_BC, 0.0))
    return torch.where(is_largest_BC, largest_B1, rest_BC)
