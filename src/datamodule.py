"""The LightningDataModule: the only place where corpus, tokens and estimator meet."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader

from src.backbones.base import Encoder
from src.corpora.base import Corpus, Pair, Split
from src.data.collate import PairBatch, copied, numbered, text_loader
from src.data.length_buckets import Cut, token_budget, whole_number
from src.data.mined_negatives import Mined, read_mined
from src.data.samplers import Batching, EpochOrder, LeadersOrder, OneLanguageOrder, RandomBatches, TrainLoader
from src.data.token_cache import tokenised
from src.runtime.distributed import RankSlice, is_sharded, loader_workers
from src.runtime.signals import ignore_group_signals
from src.utils.errors import InputError, nearest
from src.utils.lazy_matrix import matrix
from src.weights.base import Estimator

POSITIVES = ("code", "query")


class CodeSearchData(L.LightningDataModule):
    """Batches of pairs with the estimator's similarities, and the texts of an evaluation.

    Args:
        corpus: gives the splits; read when they are first needed.
        encoder: tokenises, inside the loader's workers.
        estimator: fitted on the training split here; None where neither loss nor batching needs a similarity.
        batching: which training pairs meet in a batch.
        weigh: whether batches carry the estimator's similarities.
        mask_duplicates: whether batches carry `excluded`: copies of a row's own query or positive, no negatives of it.
        mined: a file of python -m src.mine: its hard negatives are further columns of every batch.
        mined_per_query: how many of them a row brings.
        positives: what a query is paired with: its `code`, or the same `query` again (unsupervised SimCSE).
        batch_size: pairs of a training batch on all devices together; the last, short batch of an epoch is dropped.
        eval_batch_size: texts of an evaluation batch.
        token_budget: padded tokens that are encoded at once: batches are cut into parts of about one length, and stay
            one batch to the loss. `auto` suits the device, None encodes whole batches.
        chunk: texts of a training batch that are encoded at once, at most; None: any number.
        num_workers: loader processes; 0 prepares batches in the main process, `auto` suits the device.
        seed: order of the training pairs.
        cache: folder that keeps the tokens of many texts; None tokenises them in every epoch.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoder: Encoder,
        estimator: Estimator | None = None,
        batching: Batching | None = None,
        weigh: bool = True,
        mask_duplicates: bool = False,
        mined: str | Path | None = None,
        mined_per_query: int = 1,
        positives: str = "code",
        batch_size: int = 64,
        eval_batch_size: int = 256,
        token_budget: int | str | None = "auto",
        chunk: int | None = None,
        num_workers: int | str = 0,
        seed: int = 0,
        cache: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.corpus = corpus
        self.encoder = encoder
        self.batching = batching or RandomBatches()
        self.weigh = weigh and estimator is not None
        self.estimator = estimator if weigh or self.batching.needs_similarity else None
        self.mask_duplicates = mask_duplicates
        self.mined, self.mined_per_query = mined, mined_per_query
        if positives not in POSITIVES:
            raise InputError(
                f"data.positives must be one of {', '.join(POSITIVES)}, found {positives!r}"
                + nearest(str(positives), POSITIVES)
            )
        if mined is not None and positives != "code":
            raise InputError("negatives.mined are codes: expected data.positives=code beside them, found query")
        self.positives_are = positives
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.token_budget = token_budget
        self.chunk = whole_number("trainer.grad_cache_chunk", chunk, "null or a number of texts")
        self.num_workers = num_workers
        self.seed = seed
        self.cache = cache
        self.position = (0, 0)  # where training stands: the epoch, and how many of its batches are done
        self._order: EpochOrder | None = None
        self._fitted = False
        self._mined: Mined | None = None

    def state_dict(self) -> dict[str, int]:
        return dict(zip(("epoch", "batches"), self.position))

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The training loader begins there; Lightning has made it already where the parameters are sharded."""
        self.position = state["epoch"], state["batches"]
        if self._order is not None:
            self._order.go_on(state["epoch"], state["batches"] * self.batch_size)

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
        if self.mined is not None:
            train = self.corpus.split("train")
            self._mined = read_mined(self.mined, train, self.mined_per_query, self.seed, self._one_language)
            self._mined.check(self.batch_size)
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
    def rank_slice(self) -> RankSlice:
        """What this device does of the trainer's work."""
        return RankSlice.of(self.trainer)

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
        if self.rank_slice.world_size > 1:
            order = LeadersOrder(order, self.rank_slice)
        if self.position != (0, 0):
            order.go_on(self.position[0], self.position[1] * self.batch_size)
        self._order = order
        # Every device draws the whole batch, and its collate function keeps its own rows of it.
        return TrainLoader(
            range(len(pairs)),  # type: ignore[arg-type]
            batch_size=self.batch_size,
            sampler=order,
            drop_last=True,  # a short batch has fewer negatives, and weights whose scale depends on their number
            collate_fn=self._pair_batch(pairs),
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            worker_init_fn=ignore_group_signals,
            # Its own: workers are seeded from it, and how many there are must change neither order nor dropout.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _pair_batch(self, pairs: Sequence[Pair]) -> PairBatch:
        queries, codes = ([getattr(pair, side) for pair in pairs] for side in ("query", "code"))
        targets = queries if self.positives_are == "query" else codes
        copies = torch.stack([numbered(queries), numbered(targets)]) if self.mask_duplicates else None
        query_items = tokenised(self.encoder, queries, "query", self.cache)
        is_same = self.positives_are == "query"
        target_items = query_items if is_same else tokenised(self.encoder, codes, "code", self.cache)
        estimator = self.estimator if self.weigh else None
        return PairBatch(
            query_items, target_items, self._cut(self.chunk), estimator, copies, self.rank_slice, self._mined
        )

    @property
    def _device(self) -> str:
        return self.trainer.strategy.root_device.type if self.trainer else "cpu"

    @property
    def _workers(self) -> int:
        return loader_workers(self.num_workers, self._device)

    def _cut(self, most: int | None = None) -> Cut:
        # The devices of a sharded model need each other in every forward pass: all must make equally many.
        budget = None if is_sharded(self.trainer) else token_budget(self.token_budget, self.encoder, self._device)
        return Cut(self.encoder, budget, most)

    def pair_ids(self, epoch: int, batch: int) -> list[str]:
        """The ids of the training pairs of a batch, all devices together; all devices must ask."""
        rows = self._order.order(epoch)[batch * self.batch_size :][: self.batch_size]
        pairs = self.corpus.split("train").pairs
        return [pairs[row].id for row in rows]

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """The estimator's arithmetic on the device; of a large batch, when the loss asks for a block of rows."""
        if "gathered" in batch:
            shape, gathered = batch.pop("shape"), batch.pop("gathered")
            batch["similarity"] = matrix(partial(self.estimator.on_device, gathered), shape)
        if "copies" in batch:
            rows_2B, columns_2C = batch.pop("copies")
            make = partial(copied, rows_2B, columns_2C, batch["positive"])
            batch["excluded"] = matrix(make, (rows_2B.shape[1], columns_2C.shape[1]))
        return batch

    def val_dataloader(self) -> list[DataLoader]:
        return self._evaluation_loaders(self.corpus.split("valid"))

    def test_dataloader(self) -> list[DataLoader]:
        return self._evaluation_loaders(self.corpus.split("test"))

    def _evaluation_loaders(self, split: Split) -> list[DataLoader]:
        queries = self._text_loader([pair.query for pair in split.pairs], "query")
        return [queries, self._text_loader(split.codebase.codes, "code")]

    def _text_loader(self, texts: Sequence[str], side: str) -> DataLoader:
        return text_loader(texts, side, self._cut(), self.eval_batch_size, self._workers, self.cache, self.rank_slice)
