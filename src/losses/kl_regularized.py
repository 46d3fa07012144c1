"""InfoNCE plus a KL term that asks the model to rank negatives as the estimator does."""

import torch

from src.losses.base import Loss, check_temperature, fill_column, negative_softmax, weighted_infonce_rows


class KLRegularized(Loss):
    """beta InfoNCE + alpha KL(sigma_i || softmax over the negatives of s_i).

    Args:
        alpha: weight of the KL term.
        beta: weight of InfoNCE.
        weight_temperature: t of sigma = softmax(similarity / t).

    Source: the baseline of the same name in arXiv 2310.08069. Departure from its code: log-softmax in place of the log
    of a softmax that underflows to NaN.
    """

    needs_similarity = True

    def __init__(self, alpha: float, beta: float, weight_temperature: float) -> None:
        super().__init__()
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.weight_temperature = check_temperature(weight_temperature)

    def row_losses(
        self, scores_BC: torch.Tensor, positive_B: torch.Tensor, similarity_BC: torch.Tensor
    ) -> torch.Tensor:
        sigma_BC = negative_softmax(similarity_BC, positive_B, self.weight_temperature)
        negative_BC = fill_column(scores_BC, positive_B, torch.finfo(scores_BC.dtype).min)
        log_p_BC = fill_column(negative_BC.log_softmax(dim=1), positive_B, 0.0)
        divergence_B: torch.Tensor = -torch.special.entr(sigma_BC).sum(dim=1) - (sigma_BC * log_p_BC).sum(dim=1)
        return self.beta * weighted_infonce_rows(scores_BC, positive_B) + self.alpha * divergence_B
