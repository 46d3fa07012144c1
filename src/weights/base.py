"""The estimator contract: how alike are query i and code j, judged without the model that is being trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.corpora.base import Pair


class Estimator:
    """Estimates the similarity of every (row, column) of a batch from the training texts alone.

    An estimator knows texts and features, never the model in training. `fit` precomputes features per item, so that
    `similarity` is cheap enough for the data loader's workers and no N x N matrix is ever stored.
    """

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Precomputes the features of the training pairs. Item i of `similarity` is pairs[i]."""
        raise NotImplementedError

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """float32 (B, C): similarity of query rows[b] and code columns[c]. Higher = more alike = less negative."""
        raise NotImplementedError
