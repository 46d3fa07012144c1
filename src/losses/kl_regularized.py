"""InfoNCE plus a KL term that asks the model to rank negatives as the estimator does."""

from __future__ import annotations

import torch

from src.losses.base import Loss, check_temperature, negative_log_softmax, negative_softmax, weighted_infonce_rows


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

    def rows(
        self, scores_BC: torch.Tensor, is_positive_BC: torch.Tensor, similarity_BC: torch.Tensor | None
    ) -> torch.Tensor:
        sigma_BC = negative_softmax(similarity_BC, is_positive_BC, self.weight_temperature)
        log_p_BC = negative_log_softmax(scores_BC, is_positive_BC)
        divergence_B = (torch.xlogy(sigma_BC, sigma_BC) - sigma_BC * log_p_BC).sum(dim=1)
        return self.beta * weighted_infonce_rows(scores_BC, is_positive_BC) + self.alpha * divergence_B
