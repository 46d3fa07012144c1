"""Binary cross entropy of the softmax probabilities against soft labels."""

import torch
from torch import Tensor

from src.losses.base import EstimatedDistributionLoss, count_negatives, fill_column, gather_column


class BCE(EstimatedDistributionLoss):
    """mean_j -(y_ij log p_ij + (1 - y_ij) log(1 - p_ij)), p_i = softmax(s_i), y = 1 on the positive, sigma_ij else.

    Source: the baseline of the same name in arXiv 2310.08069. Departure from its code: log p and log(1 - p) are exact
    where torch's binary cross entropy clamps them at -100.
    """

    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        sigma_BC = self.sigma(similarity_BC, positive_B)
        # 1 - y is 0 on the positive: also where its log(1 - p) is -inf, in a row without negatives.
        complement_BC = (1.0 - sigma_BC).scatter_(1, positive_B[:, None], 0.0)
        target_BC = sigma_BC.scatter_(1, positive_B[:, None], 1.0)
        log_p_BC = scores_BC.log_softmax(dim=1)
        largest_B, log_one_minus_B, log_one_minus_BC = _log_one_minus_softmax(scores_BC)
        total_B = (target_BC * log_p_BC + complement_BC * log_one_minus_BC).sum(dim=1)
        total_B = total_B + gather_column(complement_BC, largest_B) * log_one_minus_B
        return -total_B / (1 + count_negatives(scores_BC, positive_B).squeeze(1))


def _log_one_minus_softmax(scores_BC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log(1 - softmax(s)_j), exact also where softmax(s)_j rounds to 1.

    Only the row's largest score can have p > 1/2: its 1 - p is summed from the others, the rest goes through log1p.

    Returns:
        The column of the row's largest score (B,), its value (B,), and the values of all others (B, C), 0 in its place.
    """
    lowest = torch.finfo(scores_BC.dtype).min
    largest_B = scores_BC.argmax(dim=1)
    of_others_B = fill_column(scores_BC, largest_B, lowest).logsumexp(dim=1)
    rest_BC = torch.log1p(-fill_column(scores_BC.softmax(dim=1), largest_B, 0.0))
    return largest_B, (of_others_B - scores_BC.logsumexp(dim=1)).clamp_min(lowest), rest_BC
