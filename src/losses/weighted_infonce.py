"""Weighted InfoNCE: a soft-label cross entropy that pulls similar negatives closer."""

from torch import Tensor

from src.losses.base import EstimatedDistributionLoss


class WeightedInfoNCE(EstimatedDistributionLoss):
    """-sum_j y_ij log softmax(s_i)_j with y = 1 on the positive and sigma_ij on the negatives.

    The targets of a row sum to 2, as in the code of the paper that compares against it: the similarity mass is not
    taken from the positive but added to it.

    Source: the baseline of the same name in arXiv 2310.08069.
    """

    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        target_BC = self.sigma(similarity_BC, positive_B).scatter_(1, positive_B[:, None], 1.0)
        return -(target_BC * scores_BC.log_softmax(dim=1)).sum(dim=1)
