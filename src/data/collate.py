"""From indices to batches: the collate functions of the data loaders, and the batches that they make.

Shape letters: B queries of this rank (rows), C codes of all ranks (columns), N pairs of the split, R rows of the split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader

from src.data.length_buckets import BatchSide, LengthBucketer, UntokenizedTexts
from src.data.mined_negatives import MinedNegatives
from src.data.token_cache import tokenised
from src.runtime.distributed import RankSlice
from src.runtime.signals import ignore_group_signals
from src.utils.lazy_matrix import Matrix, is_small
from src.utils.ragged import Ragged
from src.weights.base import Estimator, EstimatorInputs

Items = UntokenizedTexts | Ragged  # indexed by rows


@dataclass
class TrainingBatch:
    """A training batch of one rank. Lightning moves its tensors to the device.

    Attributes:
        queries: features of the B queries.
        codes: features of the codes that this rank embeds: those of its queries, then their mined negatives.
        positive_B: for each query, the column of its own code among the C codes of all ranks.
        columns: C.
        estimator_inputs: what `Estimator.collate` gave for these rows and columns; None where no similarity is needed.
        copy_inputs: numbers (2, B) and (2, C) of the rows' and the columns' query and code, equal where the texts are;
            None where duplicates are not masked.
        similarity_BC: the estimator's similarities, computed from `estimator_inputs` on the device.
        excluded_BC: bool, True where a column is no negative of the row, computed from `copy_inputs`.
    """

    queries: BatchSide
    codes: BatchSide
    positive_B: torch.Tensor
    columns: int
    estimator_inputs: EstimatorInputs | None = None
    copy_inputs: tuple[torch.Tensor, torch.Tensor] | None = None
    similarity_BC: Matrix | None = None
    excluded_BC: Matrix | None = None


@dataclass
class EvaluationBatch:
    """Distinct texts of one side of an evaluation, each embedded once for all rows of the split that hold it.

    Attributes:
        features: features of the texts.
        row_R: rows of the split that hold one of these texts.
        place_R: for each of these rows, which of the texts it holds.
    """

    features: BatchSide
    row_R: torch.Tensor
    place_R: torch.Tensor


@dataclass(frozen=True)
class TrainingCollate:
    """Indices of training pairs -> `TrainingBatch`. Runs in the loader's workers.

    On several ranks: every rank draws the whole batch and keeps its own pairs as rows. The columns are the codes of
    all ranks, in their order, each followed by the mined negatives that its rows bring.
    """

    queries: Items
    targets: Items  # what each query is paired with
    bucketer: LengthBucketer
    estimator: Estimator | None
    copies_2N: torch.Tensor | None = None  # equal numbers where queries, or targets, are equal; None excludes nothing
    rank_slice: RankSlice = field(default_factory=RankSlice)
    mined: MinedNegatives | None = None

    def __call__(self, indices: list[int]) -> TrainingBatch:
        columns = np.asarray(indices)
        own = self.rank_slice.rows(len(columns))
        rows = columns[own]
        if self.mined is not None:
            columns, own = self.mined.columns(columns, self.rank_slice)
        batch = TrainingBatch(
            queries=self.bucketer(self.queries[rows]),
            codes=self.bucketer(self.targets[columns[own]]),
            positive_B=torch.arange(own.start, own.start + len(rows)),
            columns=len(columns),
        )
        if self.estimator is not None:
            batch.estimator_inputs = self.estimator.collate(rows, columns)
        if self.copies_2N is not None:
            copies = self.copies_2N[:, rows], self.copies_2N[:, columns]
            if is_small(len(rows), len(columns)):
                batch.excluded_BC = copied(*copies, batch.positive_B)
            else:
                batch.copy_inputs = copies
        return batch


@dataclass(frozen=True)
class EvaluationCollate:
    """Indices of distinct texts -> `EvaluationBatch`."""

    items: Items
    bucketer: LengthBucketer
    rows: Sequence[Sequence[int]]  # of each text; an index beyond them is the last text again, for no row

    def __call__(self, indices: list[int]) -> EvaluationBatch:
        found = [(place, self.rows[index]) for place, index in enumerate(indices) if index < len(self.rows)]
        rows = [(row, place) for place, same_text in found for row in same_text]
        return EvaluationBatch(
            features=self.bucketer(self.items[[min(index, len(self.rows) - 1) for index in indices]]),
            row_R=torch.tensor([row for row, _ in rows], dtype=torch.long),
            place_R=torch.tensor([place for _, place in rows], dtype=torch.long),
        )


def text_loader(
    texts: Sequence[str],
    side: str,
    bucketer: LengthBucketer,
    batch_size: int,
    num_workers: int = 0,
    cache: str | Path | None = None,
    rank_slice: RankSlice | None = None,
) -> DataLoader[int]:
    """Loads every distinct text once, in an `EvaluationBatch`.

    Once, so that copies get the same embedding to the last bit and tie; longest first, so that little is padded. Ranks
    take turns at the batches that one rank alone would have, so that a text is padded as it would be there. All get
    equally many batches, since a sharded model needs every rank for every batch.
    """
    rank_slice = rank_slice or RankSlice()
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows_of.setdefault(text, []).append(row)
    distinct = sorted(rows_of, key=len, reverse=True)
    batches = list(BatchSampler(range(len(distinct)), batch_size, drop_last=False))
    batches += [[len(distinct)]] * (-len(batches) % rank_slice.world_size)  # the last text once more, for no row
    rows = [rows_of[text] for text in distinct]
    return DataLoader(
        range(len(distinct) + 1),  # type: ignore[arg-type]  # a sequence is a dataset
        batch_sampler=batches[rank_slice.rank :: rank_slice.world_size],
        collate_fn=EvaluationCollate(tokenised(bucketer.encoder, distinct, side, cache), bucketer, rows),
        num_workers=num_workers,
        worker_init_fn=ignore_group_signals,
        generator=torch.Generator(),  # its own: workers are seeded from it
    )


def copied(
    rows_2B: torch.Tensor, columns_2C: torch.Tensor, positive_B: torch.Tensor, rows: slice = slice(None)
) -> torch.Tensor:
    """bool, (rows, C): True where a column repeats the row's query or target, except for its own column."""
    is_copy_BC = (rows_2B[:, rows, None] == columns_2C[:, None, :]).any(dim=0)
    return is_copy_BC.scatter_(1, positive_B[rows, None], False)


def numbered(texts: Sequence[str]) -> torch.Tensor:
    """(N,) the same number for the same text."""
    number_of: dict[str, int] = {}
    return torch.tensor([number_of.setdefault(text, len(number_of)) for text in texts])
