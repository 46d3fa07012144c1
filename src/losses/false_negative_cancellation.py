"""False-negative cancellation: InfoNCE without the negatives that look like answers."""

import torch
from torch import Tensor

from src.losses.base import Loss, fill_column, gather_column, weighted_infonce_rows
from src.utils.errors import InputError

FEW = 16  # negatives that are found faster one by one than by sorting the row


class FalseNegativeCancellation(Loss):
    """InfoNCE without each row's most similar negatives.

    Args:
        top_k: how many to leave out, the most similar first; equal similarities in column order. 0 is InfoNCE;
            a row with no negative left has loss 0.
        threshold: leave out every negative whose similarity >= threshold x the positive's own similarity.

    Give one of the two; with neither, top_k is 1. Source: Huynh et al. 2022, arXiv 2011.11765, in the two variants of
    the code of arXiv 2310.08069.
    """

    needs_similarity = True

    def __init__(self, top_k: int | None = None, threshold: float | None = None) -> None:
        super().__init__()
        if top_k is not None and threshold is not None:
            raise InputError(
                f"false_negative_cancellation takes top_k or threshold, found top_k={top_k} and threshold={threshold}: "
                "set one of loss.top_k, loss.threshold to null"
            )
        if top_k is not None and top_k < 0:
            raise InputError(f"loss.top_k must be 0 or more, found {top_k}")
        self.top_k = top_k if top_k is not None else int(threshold is None)
        self.threshold = threshold

    def row_losses(self, scores_BC: Tensor, positive_B: Tensor, similarity_BC: Tensor) -> Tensor:
        return weighted_infonce_rows(scores_BC, positive_B, self.negative_weights(similarity_BC, positive_B).log_())

    def negative_weights(self, similarity_BC: Tensor, positive_B: Tensor) -> Tensor:
        """1 for the negatives that stay (and the positive), 0 for those left out."""
        if self.threshold is not None:
            limit_B1 = self.threshold * gather_column(similarity_BC, positive_B)[:, None]
            weights_BC = (similarity_BC < limit_B1).to(similarity_BC.dtype)
        else:
            weights_BC = torch.ones_like(similarity_BC)
            weights_BC.scatter_(1, self._most_similar(similarity_BC, positive_B), 0.0)
        return weights_BC.scatter_(1, positive_B[:, None], 1.0)

    def _most_similar(self, similarity_BC: Tensor, positive_B: Tensor) -> Tensor:
        """Columns of the top_k negatives; which of several equal ones must not depend on the device: no topk."""
        lowest = torch.finfo(similarity_BC.dtype).min
        remaining_BC = fill_column(similarity_BC, positive_B, lowest)
        if self.top_k > FEW:
            return remaining_BC.sort(dim=1, descending=True, stable=True).indices[:, : self.top_k]
        columns = []
        for _ in range(self.top_k):
            columns.append(remaining_BC.argmax(dim=1, keepdim=True))  # the first of equal ones
            remaining_BC.scatter_(1, columns[-1], lowest)
        return torch.cat([positive_B[:, None], *columns], dim=1)
