"""Soft-InfoNCE: InfoNCE whose negatives weigh less the more they look like an answer."""

import torch
from torch import Tensor

from src.losses.base import EstimatedDistributionLoss, count_negatives, negatives, weighted_infonce_rows
from src.utils.errors import InputError


class SoftInfoNCE(EstimatedDistributionLoss):
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

    def __init__(self, alpha: float, beta: float, weight_temperature: float, min_weight: float = 0.1) -> None:
        super().__init__(weight_temperature)
        if min_weight < 0:
            raise InputError(f"loss.min_weight must be 0 or more, found {min_weight}")
        self.alpha, self.beta, self.min_weight = float(alpha), float(beta), float(min_weight)

    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        return weighted_infonce_rows(scores_BC, positive_B, self.negative_weights(similarity_BC, positive_B).log_())

    def negative_weights(self, similarity_BC: Tensor, positive_B: Tensor) -> Tensor:
        """w_BC of the negatives after the floor; 1 on the positive."""
        self.check_negatives(similarity_BC.shape[1] - 1)
        if self.alpha == 0:  # InfoNCE to the last bit
            return torch.ones_like(similarity_BC)
        sigma_BC = self.sigma(similarity_BC, positive_B)
        n_B1 = count_negatives(similarity_BC, positive_B)
        mean_B1 = self.beta - self.alpha / n_B1.clamp_min(1)
        has_meaning_B1 = mean_B1 * n_B1 > 0
        slope_B1 = torch.where(has_meaning_B1, -self.alpha / mean_B1, 0.0)
        level_B1 = torch.where(has_meaning_B1, self.beta / mean_B1, 1.0)
        weights_BC = sigma_BC.mul_(slope_B1).add_(level_B1)
        # Only alpha > beta (or a negative beta) can turn a weight negative; looking costs a device sync.
        if self.min_weight == 0 and self.beta < max(self.alpha, 0.0):
            least = weights_BC.where(negatives(similarity_BC, positive_B), 1.0).min().item()
            if least < 0:
                raise InputError(
                    f"loss.min_weight=0 needs every weight to be 0 or more, found {least:.3g} with "
                    f"alpha={self.alpha:g}, beta={self.beta:g}: take beta >= alpha, or loss.min_weight=0.1"
                )
        return weights_BC.clamp_min_(self.min_weight).scatter_(1, positive_B[:, None], 1.0)

    def check_negatives(self, negatives: int) -> None:
        if self.alpha <= 0 and negatives == 0:
            return
        share = self.alpha / negatives if negatives else float("inf")
        if self.beta <= share:
            raise InputError(
                f"soft_infonce has no meaning where beta <= alpha / n: found beta={self.beta:g}, "
                f"alpha={self.alpha:g}, n={negatives} negatives (batch size - 1); raise loss.beta or the batch size"
            )
