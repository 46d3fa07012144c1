"""The gradient of a loss with respect to each score, and the three terms of Soft-InfoNCE."""

import torch
from torch import Tensor

from src.losses.base import Loss, fill_column, gather_column, negative_softmax
from src.losses.soft_infonce import SoftInfoNCE


def push(loss: Loss, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor | None = None) -> Tensor:
    """d loss_i / d s_ij, (B, C): positive where a training step lowers the score, negative where it raises it."""
    scores_BC = scores_BC.detach().clone().requires_grad_()
    (gradient_BC,) = torch.autograd.grad(loss(scores_BC, positive_B, similarity_BC).sum(), scores_BC)
    return gradient_BC


def terms(loss: SoftInfoNCE, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> dict[str, Tensor]:
    """The terms of a row's Soft-InfoNCE as long as no weight is clipped; each (B,).

    Z = sum_j e^{s_j} over the n negatives, P_j = e^{s_j} / Z the predicted distribution over them, sigma the estimated
    one. sum_j w_j e^{s_j} = Z (beta - alpha <sigma, P>) / (beta - alpha / n), so the loss is log(1 + e^x) with
    x the sum of

        `alignment` -s_p, `uniformity` log Z, `leaning` log((beta - alpha <sigma, P>) / (beta - alpha / n)).

    `leaning` is 0 where P is independent of sigma (<sigma, P> = 1 / n), and falls as P approaches sigma.
    """
    negative_BC = fill_column(scores_BC, positive_B, -torch.inf)
    sigma_BC = negative_softmax(similarity_BC, positive_B, loss.weight_temperature)
    overlap_B = (sigma_BC * negative_BC.softmax(dim=1)).sum(dim=1)
    n = scores_BC.shape[1] - 1
    leaning_B = torch.log((loss.beta - loss.alpha * overlap_B) / (loss.beta - loss.alpha / n))
    return {
        "alignment": -gather_column(scores_BC, positive_B),
        "uniformity": negative_BC.logsumexp(dim=1),
        "leaning": leaning_B,
    }
