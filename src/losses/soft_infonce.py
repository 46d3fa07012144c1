"""Soft-InfoNCE: InfoNCE whose negatives weigh less the more they look like an answer."""

from __future__ import annotations

import torch

from src.errors import InputError
from src.losses.base import Loss, check_temperature, negative_softmax, negatives, weighted_infonce_rows


class SoftInfoNCE(Loss):
    """-s_ip + log(e^{s_ip} + sum_j w_ij e^{s_ij}), w_ij = max(min_weight, (beta - alpha sigma_ij) / (beta - alpha/n)).

    Args:
        alpha: how much the estimated similarity takes from a negative's weight; 0 gives InfoNCE exactly.
        beta: the weight before similarity is taken off; must exceed alpha / n.
        weight_temperature: t of sigma = softmax(similarity / t); small t takes all from the most similar negative.
        min_weight: floor of a weight. 0.1 is the reference code's; 0 is allowed while no weight is negative.

    The weights' mean over a row is 1 before the floor. d loss / d s_ij = w_ij e^{s_ij} / (e^{s_ip} + sum_k w_ik
    e^{s_ik}): a weight below 1 shrinks exactly that negative's push. Where exclusion leaves a row so few negatives that
    beta <= alpha / n, they weigh 1, as in InfoNCE.

    Relation to others: with constant similarity it is InfoNCE; the limit of small t with min_weight 0 and alpha = beta
    is `FalseNegativeCancellation(top_k=1)` with the other negatives scaled by n / (n - 1).

    Source: "Rethinking Negative Pairs in Code Search", EMNLP 2023, arXiv 2310.08069. Departures from its code: exact
    log-sum-exp in place of log(p + 1e-15), and an error in place of NaN where beta <= alpha / n.
    """

    needs_similarity = True

    def __init__(self, alpha: float, beta: float, weight_temperature: float, min_weight: float = 0.1) -> None:
        super().__init__()
        if min_weight < 0:
            raise InputError(f"loss.min_weight must be 0 or more, found {min_weight}")
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.weight_temperature = check_temperature(weight_temperature)
        self.min_weight = float(min_weight)

    def rows(
        self, scores_BC: torch.Tensor, is_positive_BC: torch.Tensor, similarity_BC: torch.Tensor | None
    ) -> torch.Tensor:
        return weighted_infonce_rows(scores_BC, is_positive_BC, self.negative_weights(similarity_BC, is_positive_BC))

    def negative_weights(self, similarity_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor:
        """w_BC of the negatives after the floor; 1 on the positive, 0 on excluded columns."""
        self.check_negatives(similarity_BC.shape[1] - 1)
        is_negative_BC = negatives(similarity_BC, is_positive_BC)
        if self.alpha == 0:  # InfoNCE to the last bit
            return (is_negative_BC | is_positive_BC).to(similarity_BC.dtype)
        sigma_BC = negative_softmax(similarity_BC, is_positive_BC, self.weight_temperature)
        n_B1 = is_negative_BC.sum(dim=1, keepdim=True, dtype=similarity_BC.dtype)
        mean_B1 = (self.beta * n_B1 - self.alpha) / n_B1.clamp_min(1)  # beta - alpha / n, also where n = 0
        weights_BC = torch.where(mean_B1 > 0, (self.beta - self.alpha * sigma_BC) / mean_B1, 1.0)
        # Only alpha > beta (or a negative beta) can turn a weight negative; looking costs a device sync.
        if self.min_weight == 0 and self.beta < max(self.alpha, 0.0) and bool((weights_BC < 0).any()):
            raise InputError(
                f"loss.min_weight=0 needs every weight to be 0 or more, found {weights_BC.min().item():.3g} with "
                f"alpha={self.alpha:g}, beta={self.beta:g}: take beta >= alpha, or loss.min_weight=0.1"
            )
        return torch.where(is_negative_BC, weights_BC.clamp_min(self.min_weight), is_positive_BC.to(weights_BC.dtype))

    def check_negatives(self, negatives: int) -> None:
        if self.alpha <= 0 and negatives == 0:
            return
        share = self.alpha / negatives if negatives else float("inf")
        if self.beta <= share:
            raise InputError(
                f"soft_infonce has no meaning where beta <= alpha / n: found beta={self.beta:g}, "
                f"alpha={self.alpha:g}, n={negatives} negatives (batch size - 1); raise loss.beta or the batch size"
            )
