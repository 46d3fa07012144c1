"""The LightningDataModule: the only place where corpus, tokens and estimator meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

from src.backbones.base import Encoder, Features
from src.batching import Batching, OneLanguageOrder, RandomBatches
from src.corpora.base import Corpus, Pair, Split
from src.devices import LeadersOrder, Share
from src.errors import InputError, nearest
from src.weights.base import Estimator

POSITIVES = ("code", "query")
Tokenise = Callable[[Sequence[str]], Features]


class CodeSearchData(L.LightningDataModule):
    """Batches of pairs with the estimator's similarities, and the texts of an evaluation.

    Args:
        corpus: gives the splits; read when they are first needed.
        encoder: tokenises, inside the loader's workers.
        estimator: fitted on the training split here; None where neither loss nor batching needs a similarity.
        batching: which training pairs meet in a batch.
        weigh: whether batches carry the estimator's similarities.
        mask_duplicates: whether batches carry `excluded`: copies of a row's own query or positive, no negatives of it.
        positives: what a query is paired with: its `code`, or the same `query` again (unsupervised SimCSE).
        batch_size: pairs of a training batch on all devices together; the last, short batch of an epoch is dropped.
        eval_batch_size: texts of an evaluation batch.
        num_workers: loader processes; 0 tokenises in the main process.
        seed: order of the training pairs.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoder: Encoder,
        estimator: Estimator | None = None,
        batching: Batching | None = None,
        weigh: bool = True,
        mask_duplicates: bool = False,
        positives: str = "code",
        batch_size: int = 64,
        eval_batch_size: int = 256,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.encoder = encoder
        self.batching = batching or RandomBatches()
        self.weigh = weigh and estimator is not None
        self.estimator = estimator if weigh or self.batching.needs_similarity else None
        self.mask_duplicates = mask_duplicates
        if positives not in POSITIVES:
            raise InputError(
                f"data.positives must be one of {', '.join(POSITIVES)}, found {positives!r}"
                + nearest(str(positives), POSITIVES)
            )
        self.positives_are = positives
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
        if self.batching.needs_similarity and self.estimator is None:
            raise InputError("batching=similar needs an estimator, found weights=none: choose weights=bm25")
        if self.estimator is not None:
            self.estimator.fit(pairs)
        self._fitted = True

    @property
    def steps_per_epoch(self) -> int:
        """Training batches of an epoch, on however many devices."""
        train = self.corpus.split("train")
        if self._one_language:
            return sum(size // self.batch_size for size in train.sizes.values())
        return len(train) // self.batch_size

    @property
    def _one_language(self) -> bool:
        return getattr(self.corpus, "batches", "mixed") == "one_language"

    @property
    def share(self) -> Share:
        """What this device does of the trainer's work."""
        return Share.of(self.trainer)

    def pools(self, split: str) -> list[tuple[slice, slice]]:
        """Which queries of a split are ranked among which candidates: all, or each language's among its own."""
        chosen, pools, query, code = self.corpus.split(split), [], 0, 0
        for part in chosen.parts or [chosen]:
            pools.append((slice(query, query + len(part)), slice(code, code + len(part.codebase))))
            query, code = query + len(part), code + len(part.codebase)
        return pools

    def positives(self, split: str) -> torch.Tensor:
        """positive_N: row of each query's code in the split's codebase."""
        return torch.as_tensor(self.corpus.split(split).positives)

    def train_dataloader(self) -> DataLoader:
        pairs = self.corpus.split("train").pairs
        similarity = self.estimator.similarity if self.batching.needs_similarity else None
        order = self.batching.order(similarity, len(pairs), self.seed)
        if self._one_language:
            order = OneLanguageOrder(order, [pair.language for pair in pairs], self.batch_size)
        if self.share.world > 1:
            order = LeadersOrder(order, self.share)
        # Every device draws the whole batch, and its collate function keeps its own rows of it.
        return DataLoader(
            range(len(pairs)),  # type: ignore[arg-type]
            batch_size=self.batch_size,
            sampler=order,
            drop_last=True,  # a short batch has fewer negatives, and weights whose scale depends on their number
            collate_fn=self._pair_batch(pairs),
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            # Its own: workers are seeded from it, and how many there are must change neither order nor dropout.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _pair_batch(self, pairs: Sequence[Pair]) -> PairBatch:
        queries = [pair.query for pair in pairs]
        targets, tokenise = queries, self.encoder.queries
        if self.positives_are == "code":
            targets, tokenise = [pair.code for pair in pairs], self.encoder.codes
        copies = np.stack([_numbered(queries), _numbered(targets)]) if self.mask_duplicates else None
        return PairBatch(
            *(queries, targets, self.encoder.queries, tokenise, self.estimator if self.weigh else None, copies),
            share=self.share,
        )

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """The estimator's arithmetic on the device, where no worker has done it."""
        if "gathered" in batch:
            batch["similarity"] = self.estimator.on_device(batch.pop("gathered"))
        return batch

    def val_dataloader(self) -> list[DataLoader]:
        return self._evaluation_loaders(self.corpus.split("valid"))

    def test_dataloader(self) -> list[DataLoader]:
        return self._evaluation_loaders(self.corpus.split("test"))

    def _evaluation_loaders(self, split: Split) -> list[DataLoader]:
        queries = self._text_loader([pair.query for pair in split.pairs], self.encoder.queries)
        return [queries, self._text_loader(split.codebase.codes, self.encoder.codes)]

    def _text_loader(self, texts: Sequence[str], tokenise: Tokenise) -> DataLoader:
        return text_loader(texts, tokenise, self.eval_batch_size, self.num_workers, self.share)


def text_loader(
    texts: Sequence[str], tokenise: Tokenise, batch_size: int, num_workers: int = 0, share: Share | None = None
) -> DataLoader:
    """Batches of `TextBatch` over the distinct texts.

    Each distinct text once, so that copies get the same embedding to the last bit and tie; longest first, so that
    little is padded. Several devices take turns at the batches that one alone would have, so that a text is padded as
    it would be there; all get equally many, since a sharded model needs every device for every batch.
    """
    share = share or Share()
    rows_of: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows_of.setdefault(text, []).append(row)
    groups = sorted(rows_of.items(), key=lambda group: -len(group[0]))
    batches = [range(start, min(start + batch_size, len(groups))) for start in range(0, len(groups), batch_size)]
    while len(batches) % share.world:
        batches.append(range(len(groups), len(groups) + 1))
        groups.append((groups[-1][0], []))  # embedded for no row
    return DataLoader(
        groups,  # type: ignore[arg-type]
        batch_sampler=batches[share.rank :: share.world],
        collate_fn=TextBatch(tokenise),
        num_workers=num_workers,
        generator=torch.Generator(),  # as above
    )


@dataclass(frozen=True)
class PairBatch:
    """Indices of training pairs -> features, positives, what the estimator gathered. Runs in the loader's workers.

    On several devices: features of the own pairs, which are the rows; the columns are the codes of the whole batch.
    """

    queries: Sequence[str]
    targets: Sequence[str]  # what each query is paired with
    tokenise_queries: Tokenise
    tokenise_targets: Tokenise
    estimator: Estimator | None
    copies_2N: np.ndarray | None = None  # equal numbers where queries, or targets, are equal; None excludes nothing
    share: Share = field(default_factory=Share)
    in_worker: bool = False  # whether the similarities are worked out here or from what is gathered here

    def __call__(self, indices: list[int]) -> dict[str, Any]:
        own = self.share.rows(len(indices))
        batch = {
            "queries": self.tokenise_queries([self.queries[i] for i in indices[own]]),
            "codes": self.tokenise_targets([self.targets[i] for i in indices[own]]),
            "positive": torch.arange(own.start, own.stop),
        }
        columns = np.asarray(indices)
        if self.estimator is not None:
            gathered = self.estimator.gather(columns[own], columns)
            if self.in_worker:
                batch["similarity"] = self.estimator.on_device(gathered)
            else:
                batch["gathered"] = gathered
        if self.copies_2N is not None:
            copies_2C = self.copies_2N[:, columns]
            excluded_BC = (copies_2C[:, own, None] == copies_2C[:, None, :]).any(axis=0)
            np.fill_diagonal(excluded_BC[:, own], False)
            batch["excluded"] = torch.from_numpy(excluded_BC)
        return batch


def _numbered(texts: Sequence[str]) -> np.ndarray:
    """(N,) the same number for the same text."""
    number_of: dict[str, int] = {}
    return np.array([number_of.setdefault(text, len(number_of)) for text in texts])


@dataclass(frozen=True)
class TextBatch:
    """Distinct texts, each with its rows -> features, the rows, and which embedding each row takes."""

    tokenise: Tokenise

    def __call__(self, groups: list[tuple[str, list[int]]]) -> dict[str, Any]:
        rows = [(row, place) for place, (_, rows) in enumerate(groups) for row in rows]
        return {
            "features": self.tokenise([text for text, _ in groups]),
            "row": torch.tensor([row for row, _ in rows], dtype=torch.long),
            "place": torch.tensor([place for _, place in rows], dtype=torch.long),
        }
