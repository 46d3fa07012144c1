"""Weighted InfoNCE: a soft-label cross entropy that pulls similar negatives closer."""

import torch

from src.losses.base import Loss, check_temperature, negative_softmax


class WeightedInfoNCE(Loss):
    """-sum_j y_ij log softmax(s_i)_j with y = 1 on the positive and sigma_ij on the negatives.

    The targets of a row sum to 2, as in the code of the paper that compares against it: the similarity mass is not
    taken from the positive but added to it.

    Args:
        weight_temperature: t of sigma = softmax(similarity / t).

    Source: the baseline of the same name in arXiv 2310.08069.
    """

    needs_similarity = True

    def __init__(self, weight_temperature: float) -> None:
        super().__init__()
        self.weight_temperature = check_temperature(weight_temperature)

    def row_losses(
        self, scores_BC: torch.Tensor, positive_B: torch.Tensor, similarity_BC: torch.Tensor
    ) -> torch.Tensor:
        sigma_BC = negative_softmax(similarity_BC, positive_B, self.weight_temperature)
        target_BC = sigma_BC.scatter_(1, positive_B[:, None], 1.0)
        return -(target_BC * scores_BC.log_softmax(dim=1)).sum(dim=1)
