"""No estimator: `weights=none`, for losses that treat all negatives equally."""

from collections.abc import Sequence

import numpy as np

from src.corpora.base import Pair
from src.utils.errors import InputError
from src.weights.base import Estimator


class NoEstimator(Estimator):
    """Marks that negatives are not weighted. Fits nothing and has no similarity to give."""

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Does nothing."""

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Always raises InputError: the loss asked for a similarity that the configuration left out."""
        raise InputError("weights=none: this loss needs a similarity, found no estimator; choose weights=bm25")
