"""Samplers: which training items meet in a batch, and the `Batching` options of conf/batching that make them.

Shape letters: P items of a pool, K neighbours of an item, B rows of a block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.distributed as dist
from torch.utils.data import DataLoader, Sampler

from src.config.types import Count
from src.utils.errors import InputError, NonFiniteError

if TYPE_CHECKING:
    from src.runtime.distributed import RankSlice  # imports Lightning, which a label of a run does not need

Similarity = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of items as rows and columns, float32 (B, C)

BLOCK = 2**22  # similarities in memory at a time, 16 MB; selecting from them takes as much again


class EpochSampler(Sampler[int]):
    """All item indices, in an order that depends on seed and epoch alone, however often it was iterated before."""

    def __init__(self, number: int, seed: int) -> None:
        super().__init__()
        self.number = number
        self.seed = seed
        self._epoch: int | None = None
        self._passes = 0
        self._resumed = (-1, 0)

    def __len__(self) -> int:
        return self.number

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of later iterations; Lightning calls it. Otherwise each iteration is the next epoch."""
        self._epoch = epoch

    def resume_at(self, epoch: int, items: int) -> None:
        """Starts at that epoch, without its first `items` items."""
        self._epoch, self._resumed = epoch, (epoch, items)

    def __iter__(self) -> Iterator[int]:
        epoch = self._passes if self._epoch is None else self._epoch
        self._passes += 1
        # However often it is iterated: Lightning and prefetching workers do so more than once.
        resumed, done = self._resumed
        return iter(self.order(epoch)[done if epoch == resumed else 0 :].tolist())

    def order(self, epoch: int) -> np.ndarray:
        """The item indices of an epoch, int64 (number,)."""
        return np.random.default_rng([self.seed, epoch]).permutation(self.number)


class TrainLoader(DataLoader[Any]):
    """A stateful loader to Lightning, which then does not skip batches: the datamodule calls `resume_at` instead."""

    def state_dict(self) -> dict[str, int]:
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        pass


class OneLanguageSampler(EpochSampler):
    """Another sampler's items in batches of one language each, in random order.

    Items that fill no batch of their language are left out of that epoch.

    Args:
        inner: the sampler that decides which items of a language meet.
        languages: of each item.
        batch_size: items of a batch.
    """

    def __init__(self, inner: EpochSampler, languages: Sequence[str], batch_size: int) -> None:
        self.inner = inner
        self.number_N = np.unique(languages, return_inverse=True)[1]  # of each item's language
        self.batch_size = batch_size
        super().__init__(int((np.bincount(self.number_N) // batch_size).sum()) * batch_size, inner.seed)
        if not self.number:
            raise InputError(
                f"corpus.batches=one_language: no language has the {batch_size} training pairs of a batch; lower "
                "data.batch_size or set corpus.batches=mixed"
            )

    def order(self, epoch: int) -> np.ndarray:
        """The item indices of an epoch, int64 (number,)."""
        items = self.inner.order(epoch)
        batches = []
        for language in range(self.number_N.max() + 1):
            own = items[self.number_N[items] == language]
            batches += list(own[: len(own) - len(own) % self.batch_size].reshape(-1, self.batch_size))
        rng = np.random.default_rng([self.seed, epoch, 1])  # 1: not the random numbers of the inner sampler
        return np.concatenate([batches[i] for i in rng.permutation(len(batches))])


class NearestNeighbourSampler(EpochSampler):
    """Item indices in an order whose consecutive runs of `group` items are nearest neighbours.

    Every epoch shuffles the items into pools and cuts each pool greedily: an item not yet taken, in random order,
    opens a group with its nearest items not yet taken. An item whose neighbours are all taken waits for the next pass
    over the remaining items. Groups come in random order; the few items that fill no group (at most `group` - 1 per
    pool) come last, so that a batch size divisible by `group` splits no group.

    Args:
        similarity: an estimator's: float32 (B, C) for item indices of rows and columns; higher = more similar. May be
            asymmetric (the row opens the group); an item's similarity to itself is ignored.
        number: of items.
        group: items of a group; 1 is a plain shuffle.
        pool: most items compared with each other; bounds time to number x pool and memory to pool x `neighbours`.
            Exact where `number` <= `pool`: then the neighbours are computed once, for all epochs.
        neighbours: candidates kept per item in the first pass; each later pass keeps twice as many, so that a few
            items that are near to everything cannot cause many passes.
        seed: with the epoch, determines the order.

    Raises:
        InputError: a group of more items than there are.
        NonFiniteError: a similarity that is NaN (when iterated).
    """

    def __init__(
        self,
        similarity: Similarity,
        number: int,
        group: int = 4,
        pool: int = 16384,
        neighbours: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__(number, seed)
        if group > number:
            raise InputError(f"batching.group: expected at most the {number} training pairs, found {group}")
        self.similarity, self.group, self.pool = similarity, group, pool
        self.neighbours = max(neighbours, group - 1)  # fewer would leave groups that nothing can fill
        self._nearest_PK: np.ndarray | None = None  # of all items, where they are one pool

    def order(self, epoch: int) -> np.ndarray:
        """The item indices of an epoch, int64 (number,)."""
        rng = np.random.default_rng([self.seed, epoch])
        items = rng.permutation(self.number)
        if self.group == 1:
            return items
        groups, rest = [], []
        for pool_P in np.array_split(items, max(1, -(-self.number // self.pool))):
            pool_groups, pool_rest = self._groups(np.sort(pool_P), rng)
            groups += pool_groups
            rest.append(pool_rest)
        return np.concatenate([*(groups[i] for i in rng.permutation(len(groups))), *rest])

    def _groups(self, items_P: np.ndarray, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
        """Full groups of a pool, and the items too few for another."""
        groups, wanted = [], self.neighbours
        while len(items_P) >= self.group:
            nearest_PK = self._nearest(items_P, wanted)
            is_free_P = np.ones(len(items_P), dtype=bool)
            for i in rng.permutation(len(items_P)):
                if is_free_P[i]:
                    others = nearest_PK[i]
                    members = np.append(i, others[is_free_P[others]][: self.group - 1])
                    if len(members) == self.group:
                        is_free_P[members] = False
                        groups.append(items_P[members])
            items_P, wanted = items_P[is_free_P], 2 * wanted
        return groups, items_P

    def _nearest(self, items_P: np.ndarray, wanted: int) -> np.ndarray:
        """nearest_PK: positions in items_P of each item's most similar others, the nearest first."""
        if len(items_P) < self.number:
            return nearest(self.similarity, items_P, wanted)
        if self._nearest_PK is None:
            self._nearest_PK = nearest(self.similarity, items_P, wanted)
        return self._nearest_PK


def nearest(similarity: Similarity, items_P: np.ndarray, wanted: int) -> np.ndarray:
    """int32 (P, K), K = min(wanted, P - 1): positions of each item's K most similar others, the nearest first.

    Of equal ones at the boundary, those that follow the item cyclically are taken: in a pool where nothing is similar,
    all items would otherwise choose the same few. The result depends on the values alone.

    Raises:
        NonFiniteError: a similarity is NaN.
    """
    P, K = len(items_P), min(wanted, len(items_P) - 1)
    nearest_PK = np.empty((P, K), dtype=np.int32)
    rows = max(1, BLOCK // P)
    for start in range(0, P, rows):
        position_B = np.arange(start, min(start + rows, P))
        block_BP = np.array(similarity(items_P[position_B], items_P), dtype=np.float32)  # a copy: written to below
        block_BP[position_B - start, position_B] = -np.inf
        if np.isnan(block_BP.max()):
            row, column = np.argwhere(np.isnan(block_BP))[0]
            raise NonFiniteError(
                f"the similarity of training items must be a number, found NaN for items {items_P[start + row]} and "
                f"{items_P[column]}: check weights="
            )
        least_B = np.partition(block_BP, P - K, axis=1)[:, P - K]
        for i, row_P, least in zip(position_B, block_BP, least_B):
            above = np.flatnonzero(row_P > least)
            ties = np.flatnonzero(row_P == least)
            ties = ties[ties != i]  # its own column, where others hold -inf too
            after = np.searchsorted(ties, i)
            nearest_PK[i, : len(above)] = above[np.argsort(-row_P[above], kind="stable")]
            nearest_PK[i, len(above) :] = ties.take(range(after, after + K - len(above)), mode="wrap")
    return nearest_PK


class Batching(ABC):
    """Which training pairs meet in a batch: an option of conf/batching. A new one implements `sampler`.

    Attributes:
        needs_similarity: whether `sampler` reads the estimator's similarities. Where it is False, no estimator is
            fitted for the batching, and no table or label names one.
    """

    needs_similarity: bool = False

    @abstractmethod
    def sampler(self, similarity: Similarity, number: int, seed: int) -> EpochSampler:
        """The sampler of `number` items; `similarity` raises InputError where `needs_similarity` is False."""


class RandomBatches(Batching):
    """A new random order every epoch."""

    def sampler(self, similarity: Similarity, number: int, seed: int) -> EpochSampler:
        return EpochSampler(number, seed)


class SimilarBatches(Batching):
    """Groups of nearest neighbours under the estimator; see `NearestNeighbourSampler`.

    Args:
        group: items of a group: one and its nearest neighbours.
        pool: number of random items among which neighbours are searched.
        neighbours: number kept for each item; when all are taken, the item waits for the next pass.
    """

    needs_similarity = True

    def __init__(self, group: Count = 4, pool: Count = 16384, neighbours: Count = 32) -> None:
        self.group, self.pool, self.neighbours = group, pool, neighbours

    def sampler(self, similarity: Similarity, number: int, seed: int) -> EpochSampler:
        return NearestNeighbourSampler(similarity, number, self.group, self.pool, self.neighbours, seed)


class RankZeroSampler(EpochSampler):
    """Another sampler, evaluated on rank 0 only: other hardware could find other nearest neighbours.

    All ranks must ask for the same epochs in the same order.
    """

    def __init__(self, inner: EpochSampler, rank_slice: RankSlice) -> None:
        super().__init__(inner.number, inner.seed)
        self.inner, self.rank_slice = inner, rank_slice

    def order(self, epoch: int) -> np.ndarray:
        """The item indices of an epoch, int64 (number,)."""
        orders = [self.inner.order(epoch) if self.rank_slice.rank == 0 else np.empty(0, np.int64)]
        dist.broadcast_object_list(orders)
        return orders[0]
