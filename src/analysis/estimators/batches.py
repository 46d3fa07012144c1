"""The batches of an inspection: planted ones, which hold known false negatives, and those of a training.

S items (training pairs that are looked at), B rows, C columns of a batch.
"""

from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from scipy.sparse import csr_array

from src.data.samplers import Batching, Similarity

ANCHORS = 32  # rows of a planted batch; each adds one partner, so most of a batch is ordinary


@dataclass(frozen=True)
class Rows:
    """Rows of a batch: items `row_B` against the columns `column_C`, which include the rows' own items."""

    row_B: np.ndarray
    column_C: np.ndarray

    @property
    def own_BC(self) -> np.ndarray:
        """True on each row's own column."""
        return self.row_B[:, None] == self.column_C[None, :]

    def among(self, matrix_SS: csr_array) -> np.ndarray:
        """The matrix's entries of these rows and columns, dense (B, C)."""
        return matrix_SS[self.row_B][:, self.column_C].toarray()


def planted_batches(known_SS: csr_array, size: int, most: int, seed: int) -> list[Rows]:
    """Batches in which each row has at least one known false negative among the columns.

    Rows are up to `most` items that have one; for each, one of its known false negatives is drawn as a partner, and
    random other items fill the batch up. An item that the batch already holds, or whose partners it holds, is put off
    to a later batch.

    Args:
        known_SS: symmetric bool.
        size: columns of a batch, at most S.
    """
    rng = np.random.default_rng(seed)
    anchors = max(1, min(ANCHORS, size // 4))
    waiting = rng.permutation(np.flatnonzero(np.diff(known_SS.indptr)))[:most].tolist()
    batches = []
    while waiting:
        rows: list[int] = []
        taken: set[int] = set()
        later: list[int] = []
        for item in waiting:
            partners = known_SS.indices[known_SS.indptr[item] : known_SS.indptr[item + 1]]
            free = [partner for partner in partners.tolist() if partner not in taken]
            if len(rows) == anchors or item in taken or not free:
                later.append(item)
                continue
            rows.append(item)
            taken |= {item, int(rng.choice(free))}
        others = [item for item in rng.permutation(known_SS.shape[0]).tolist() if item not in taken]
        filled = [*rows, *sorted(taken.difference(rows)), *others]
        batches.append(Rows(np.array(rows), np.array(filled[:size])))
        waiting = later
    return batches


def training_batches(
    batching: Batching, similarity: Similarity, items: int, size: int, number: int, seed: int
) -> list[Rows]:
    """The first `number` batches of a training on these items, over as many epochs as needed."""
    sampler = batching.sampler(similarity, items, seed)
    epochs = (sampler.order(epoch)[: items - items % size].reshape(-1, size) for epoch in range(number))
    return [Rows(item_B, item_B) for item_B in islice(chain.from_iterable(epochs), number)]
