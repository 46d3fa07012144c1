"""False-negative cancellation: InfoNCE without the negatives that look like answers."""

from __future__ import annotations

import torch

from src.errors import InputError
from src.losses.base import Loss, negatives, positive_scores, weighted_infonce_rows


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
        self.top_k = 1 if top_k is None and threshold is None else top_k
        self.threshold = threshold

    def rows(
        self, scores_BC: torch.Tensor, is_positive_BC: torch.Tensor, similarity_BC: torch.Tensor | None
    ) -> torch.Tensor:
        return weighted_infonce_rows(scores_BC, is_positive_BC, self.negative_weights(similarity_BC, is_positive_BC))

    def negative_weights(self, similarity_BC: torch.Tensor, is_positive_BC: torch.Tensor) -> torch.Tensor:
        """1 for the negatives that stay (and the positive), 0 for those left out and for excluded columns."""
        is_negative_BC = negatives(similarity_BC, is_positive_BC)
        if self.threshold is not None:
            limit_B1 = self.threshold * positive_scores(similarity_BC, is_positive_BC)[:, None]
            is_out_BC = similarity_BC >= limit_B1
        else:
            low = torch.finfo(similarity_BC.dtype).min
            # A stable sort, not topk: which of several equal similarities goes must not depend on the device.
            order_BC = similarity_BC.masked_fill(is_positive_BC, low).sort(dim=1, descending=True, stable=True).indices
            is_out_BC = torch.zeros_like(is_positive_BC).scatter_(1, order_BC[:, : self.top_k], True)
        return (is_negative_BC & ~is_out_BC | is_positive_BC).to(similarity_BC.dtype)
