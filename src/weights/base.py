"""The estimator contract: how alike are query i and code j, judged without the model that is being trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from src.corpora.base import Pair

# Entries up to which a worker works out a whole matrix ahead of the step that needs it: 64 MB for a batch of 4,096.
HELD = 2**24
ALL = slice(None)

Gathered = Mapping[str, "torch.Tensor | Gathered"]


class Estimator:
    """Estimates the similarity of every (row, column) of a batch from the training texts alone.

    An estimator knows texts and features, never the model in training. `fit` precomputes features per item, so that
    `similarity` is cheap and no N x N matrix is ever stored.

    A new estimator needs `fit` and `similarity`, which then runs in the data loader's workers (or, where a batch is too
    large for that, beside the model, some rows at a time). One whose similarity is dense arithmetic splits it in two:
    `gather` fetches features in the workers, `on_device` does the rest where the model trains.
    """

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Precomputes the features of the training pairs. Item i of `similarity` is pairs[i]."""
        raise NotImplementedError

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """float32 (B, C): similarity of query rows[b] and code columns[c]. Higher = more alike = less negative."""
        raise NotImplementedError

    def gather(self, rows: np.ndarray, columns: np.ndarray) -> Gathered:
        """What `on_device` needs of these rows and columns, as tensors of the CPU."""
        if len(rows) * len(columns) <= HELD:
            return {"similarity": torch.from_numpy(self.similarity(rows, columns))}
        return {"rows": torch.from_numpy(rows), "columns": torch.from_numpy(columns)}

    def on_device(self, gathered: Gathered, rows: slice = ALL) -> torch.Tensor:
        """These rows of similarity_BC, float32, from what `gather` gave, on whatever device that is now."""
        if "similarity" in gathered:
            return gathered["similarity"][rows]
        items_B, items_C = gathered["rows"][rows], gathered["columns"]
        return torch.from_numpy(self.similarity(items_B.cpu().numpy(), items_C.cpu().numpy())).to(items_B.device)

    def parts(self) -> Iterator[Estimator]:
        """The estimators that this one is made of; itself where it is one."""
        yield self
