"""From indices to batches: what a data loader's collate functions make, in its workers where it has some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from src.data.length_buckets import Cut, Unread
from src.data.mined_negatives import Mined
from src.data.token_cache import tokenised
from src.runtime.distributed import RankSlice
from src.runtime.signals import ignore_group_signals
from src.utils.lazy_matrix import is_small
from src.utils.ragged import Ragged
from src.weights.base import Estimator

Items = Unread | Ragged  # give the items of rows


def text_loader(
    texts: Sequence[str],
    side: str,
    cut: Cut,
    batch_size: int,
    num_workers: int = 0,
    cache: str | Path | None = None,
    rank_slice: RankSlice | None = None,
) -> DataLoader:
    """Batches of `TextBatch` over the distinct texts.

    Each distinct text once, so that copies get the same embedding to the last bit and tie; longest first, so that
    little is padded. Several devices take turns at the batches that one alone would have, so that a text is padded as
    it would be there; all get equally many, since a sharded model needs every device for every batch.
    """
    rank_slice = rank_slice or RankSlice()
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows_of.setdefault(text, []).append(row)
    distinct = sorted(rows_of, key=len, reverse=True)
    batches = [range(len(distinct))[start : start + batch_size] for start in range(0, len(distinct), batch_size)]
    batches += [[len(distinct)]] * (-len(batches) % rank_slice.world_size)  # the last text once more, for no row
    return DataLoader(
        range(len(distinct) + 1),  # type: ignore[arg-type]
        batch_sampler=batches[rank_slice.rank :: rank_slice.world_size],
        collate_fn=TextBatch(tokenised(cut.encoder, distinct, side, cache), cut, [rows_of[text] for text in distinct]),
        num_workers=num_workers,
        worker_init_fn=ignore_group_signals,
        generator=torch.Generator(),  # its own: workers are seeded from it
    )


@dataclass(frozen=True)
class PairBatch:
    """Indices of training pairs -> features, positives, what the estimator gathered. Runs in the loader's workers.

    On several devices: features of the own pairs, which are the rows; the columns are the codes of the whole batch.
    Mined negatives are columns behind the codes of the device whose rows bring them.
    """

    queries: Items
    targets: Items  # what each query is paired with
    cut: Cut
    estimator: Estimator | None
    copies_2N: torch.Tensor | None = None  # equal numbers where queries, or targets, are equal; None excludes nothing
    rank_slice: RankSlice = field(default_factory=RankSlice)
    mined: Mined | None = None

    def __call__(self, indices: list[int]) -> dict[str, Any]:
        columns = np.asarray(indices)
        own = self.rank_slice.rows(len(columns))
        rows = columns[own]
        if self.mined is not None:
            columns, own = self.mined.columns(columns, self.rank_slice)
        batch = {
            "queries": self.cut(self.queries[rows]),
            "codes": self.cut(self.targets[columns[own]]),
            "positive": torch.arange(own.start, own.start + len(rows)),
        }
        if self.estimator is not None:
            batch["gathered"] = self.estimator.gather(rows, columns)
            batch["shape"] = (len(rows), len(columns))
        if self.copies_2N is not None:
            copies = self.copies_2N[:, rows], self.copies_2N[:, columns]
            if is_small(len(rows), len(columns)):
                batch["excluded"] = copied(*copies, batch["positive"])
            else:
                batch["copies"] = copies
        return batch


def copied(
    rows_2B: torch.Tensor, columns_2C: torch.Tensor, positive_B: torch.Tensor, rows: slice = slice(None)
) -> torch.Tensor:
    """bool, (rows, C): True where a column repeats the row's query or target, its own column apart."""
    is_copy_BC = (rows_2B[:, rows, None] == columns_2C[:, None, :]).any(dim=0)
    return is_copy_BC.scatter_(1, positive_B[rows, None], False)


def numbered(texts: Sequence[str]) -> torch.Tensor:
    """(N,) the same number for the same text."""
    number_of: dict[str, int] = {}
    return torch.tensor([number_of.setdefault(text, len(number_of)) for text in texts])


@dataclass(frozen=True)
class TextBatch:
    """Indices of distinct texts -> features, the rows that hold them, and which embedding each row takes."""

    items: Items
    cut: Cut
    rows: Sequence[Sequence[int]]  # of each text; an index beyond them is the last text, for no row

    def __call__(self, indices: list[int]) -> dict[str, Any]:
        found = [(place, self.rows[index]) for place, index in enumerate(indices) if index < len(self.rows)]
        rows = [(row, place) for place, held in found for row in held]
        return {
            "features": self.cut(self.items[[min(index, len(self.rows) - 1) for index in indices]]),
            "row": torch.tensor([row for row, _ in rows], dtype=torch.long),
            "place": torch.tensor([place for _, place in rows], dtype=torch.long),
        }
