"""The estimator contract: how similar are query i and code j, judged without the model that is being trained."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from src.corpora.base import Pair

# Entries up to which a loader's worker computes a whole matrix before the step that needs it: 64 MB, a batch of 4,096
PRECOMPUTE_LIMIT = 2**24
ALL = slice(None)

EstimatorInputs = dict[str, Any]  # tensors by name; a mixture nests those of its components


class Estimator(ABC):
    """Estimates the similarity of every (row, column) of a batch from the training texts alone.

    An estimator knows texts and features, never the model in training. `fit` precomputes features per item, so that
    `similarity` is cheap and no N x N matrix is ever stored.

    A new estimator implements `fit` and `similarity`, which runs in the data loader's workers (or, for very large
    batches, in the training process, some rows at a time). An estimator whose similarity is dense arithmetic overrides
    two more: `collate` fetches features in the workers, `similarity_on_device` does the rest where the model trains.
    """

    @abstractmethod
    def fit(self, pairs: Sequence[Pair]) -> None:
        """Precomputes the features of the training pairs. Item i of `similarity` is pairs[i]."""

    @abstractmethod
    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """float32 (B, C): similarity of query rows[b] and code columns[c]. Higher = more similar = less negative."""

    def collate(self, rows: np.ndarray, columns: np.ndarray) -> EstimatorInputs:
        """What `similarity_on_device` needs to know of these rows and columns, as tensors on the CPU."""
        if len(rows) * len(columns) <= PRECOMPUTE_LIMIT:
            return {"similarity": torch.from_numpy(self.similarity(rows, columns))}
        return {"rows": torch.from_numpy(rows), "columns": torch.from_numpy(columns)}

    def similarity_on_device(self, inputs: EstimatorInputs, rows: slice = ALL) -> torch.Tensor:
        """These rows of similarity_BC, float32, from the result of `collate`, on the device where that is now."""
        if "similarity" in inputs:
            similarity_BC: torch.Tensor = inputs["similarity"]
            return similarity_BC[rows]
        items_B, items_C = inputs["rows"][rows], inputs["columns"]
        return torch.from_numpy(self.similarity(items_B.cpu().numpy(), items_C.cpu().numpy())).to(items_B.device)

    def components(self) -> Iterator["Estimator"]:
        """The estimators that this one combines; itself alone by default."""
        yield self
