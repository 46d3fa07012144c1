"""InfoNCE plus a KL term that asks the model to rank negatives as the estimator does."""

import torch
from torch import Tensor

from src.losses.base import EstimatedDistributionLoss, fill_column, weighted_infonce_rows


class KLRegularized(EstimatedDistributionLoss):
    """beta InfoNCE + alpha KL(sigma_i || softmax over the negatives of s_i).

    Args:
        alpha: weight of the KL term.
        beta: weight of InfoNCE.

    Source: the baseline of the same name in arXiv 2310.08069. Departure from its code: log-softmax in place of the log
    of a softmax that underflows to NaN.
    """

    def __init__(self, alpha: float, beta: float, weight_temperature: float) -> None:
        super().__init__(weight_temperature)
        self.alpha, self.beta = float(alpha), float(beta)

    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        sigma_BC = self.sigma(similarity_BC, positive_B)
        negative_BC = fill_column(scores_BC, positive_B, torch.finfo(scores_BC.dtype).min)
        log_p_BC = fill_column(negative_BC.log_softmax(dim=1), positive_B, 0.0)
        divergence_B: Tensor = -torch.special.entr(sigma_BC).sum(dim=1) - (sigma_BC * log_p_BC).sum(dim=1)
        return self.beta * weighted_infonce_rows(scores_BC, positive_B) + self.alpha * divergence_B
