"""InfoNCE: every other code of the batch is equally wrong."""

from torch import Tensor

from src.losses.base import Loss, weighted_infonce_rows


class InfoNCE(Loss):
    """-s_ip + log(e^{s_ip} + sum_j e^{s_ij}).

    The softmax cross entropy over in-batch negatives. Every other loss of this package has it as a special case or
    as a part. Source: van den Oord et al. 2018, arXiv 1807.03748, eq. 4.
    """

    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        return weighted_infonce_rows(scores_BC, positive_B)
