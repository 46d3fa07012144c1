"""The LightningDataModule: the only place where corpus, tokens and estimator meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from src.backbones.base import Encoder, Features
from src.corpora.base import Corpus, Pair, Split
from src.errors import InputError
from src.weights.base import Estimator

Tokenise = Callable[[Sequence[str]], Features]


class CodeSearchData(L.LightningDataModule):
    """Batches of pairs with the estimator's similarities, and the texts of an evaluation.

    Args:
        corpus: gives the splits; read when they are first needed.
        encoder: tokenises, inside the loader's workers.
        estimator: fitted on the training split here; None where the loss needs no similarity.
        batch_size: pairs of a training batch; the last, short batch of an epoch is dropped.
        eval_batch_size: texts of an evaluation batch.
        num_workers: loader processes; 0 tokenises in the main process.
        seed: order of the training pairs.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoder: Encoder,
        estimator: Estimator | None = None,
        batch_size: int = 64,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.encoder = encoder
        self.estimator = estimator
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.seed = seed
        self._fitted = False

    def setup(self, stage: str) -> None:
        if stage != "fit" or self._fitted:
            return
        pairs = self.corpus.split("train").pairs
        if self.batch_size < 2:
            raise InputError(f"data.batch_size must be at least 2 to hold a negative, found {self.batch_size}")
        if self.batch_size > len(pairs):
            raise InputError(
                f"data.batch_size must be at most the training split's {len(pairs)} pairs, found {self.batch_size}"
            )
        if self.estimator is not None:
            self.estimator.fit(pairs)
        self._fitted = True

    @property
    def steps_per_epoch(self) -> int:
        """Training batches of an epoch on one device."""
        return len(self.corpus.split("train")) // self.batch_size

    def positives(self, split: str) -> torch.Tensor:
        """positive_N: row of each query's code in the split's codebase."""
        return torch.as_tensor(self.corpus.split(split).positives)

    def train_dataloader(self) -> DataLoader:
        pairs = self.corpus.split("train").pairs
        return DataLoader(
            range(len(pairs)),  # type: ignore[arg-type]
            batch_size=self.batch_size,
            shuffle=True,
            drop_last=True,  # a short batch has fewer negatives, and weights whose scale depends on their number
            collate_fn=PairBatch(pairs, self.encoder.queries, self.encoder.codes, self.estimator),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            generator=torch.Generator().manual_seed(self.seed),
        )

    def val_dataloader(self) -> list[DataLoader]:
        return self._evaluation_loaders(self.corpus.split("valid"))

    def test_dataloader(self) -> list[DataLoader]:
        return self._evaluation_loaders(self.corpus.split("test"))

    def _evaluation_loaders(self, split: Split) -> list[DataLoader]:
        queries = self._text_loader([pair.query for pair in split.pairs], self.encoder.queries)
        return [queries, self._text_loader(split.codebase.codes, self.encoder.codes)]

    def _text_loader(self, texts: Sequence[str], tokenise: Tokenise) -> DataLoader:
        rows_of: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            rows_of.setdefault(text, []).append(row)
        # Each distinct text once, so that copies get the same embedding to the last bit and tie; longest first, so that
        # little is padded.
        groups = sorted(rows_of.items(), key=lambda group: -len(group[0]))
        return DataLoader(
            groups,  # type: ignore[arg-type]
            batch_size=self.eval_batch_size,
            collate_fn=TextBatch(tokenise),
            num_workers=self.num_workers,
        )


@dataclass(frozen=True)
class PairBatch:
    """Indices of training pairs -> features, positives and similarities. Runs in the loader's workers."""

    pairs: Sequence[Pair]
    queries: Tokenise
    codes: Tokenise
    estimator: Estimator | None

    def __call__(self, indices: list[int]) -> dict[str, Any]:
        batch = {
            "queries": self.queries([self.pairs[i].query for i in indices]),
            "codes": self.codes([self.pairs[i].code for i in indices]),
            "positive": torch.arange(len(indices)),
        }
        if self.estimator is not None:
            rows = np.asarray(indices)
            batch["similarity"] = torch.from_numpy(self.estimator.similarity(rows, rows))
        return batch


@dataclass(frozen=True)
class TextBatch:
    """Distinct texts, each with its rows -> features, the rows, and which embedding each row takes."""

    tokenise: Tokenise

    def __call__(self, groups: list[tuple[str, list[int]]]) -> dict[str, Any]:
        rows = [(row, place) for place, (_, rows) in enumerate(groups) for row in rows]
        return {
            "features": self.tokenise([text for text, _ in groups]),
            "row": torch.tensor([row for row, _ in rows]),
            "place": torch.tensor([place for _, place in rows]),
        }
