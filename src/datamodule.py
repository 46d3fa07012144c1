"""The LightningDataModule: the only place where corpus, tokens and estimator meet."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader

from src.backbones.base import Encoder
from src.config.schema import Positives, TokenBudget, Workers
from src.config.types import Count
from src.corpora.base import Corpus, Pair, Split
from src.data.collate import EvaluationBatch, TrainingBatch, TrainingCollate, copied, numbered, text_loader
from src.data.length_buckets import LengthBucketer, token_budget
from src.data.mined_negatives import MinedNegatives, read_mined
from src.data.samplers import Batching, EpochSampler, OneLanguageSampler, RandomBatches, RankZeroSampler, TrainLoader
from src.data.token_cache import tokenised
from src.runtime.distributed import RankSlice, is_sharded, loader_workers
from src.runtime.signals import ignore_group_signals
from src.utils.errors import InputError
from src.utils.lazy_matrix import matrix
from src.weights.base import Estimator
from src.weights.none import NoEstimator


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
        token_budget: padded tokens that are encoded at once: batches are split into buckets of similar lengths, and
            stay one batch to the loss. `auto` suits the device, None encodes whole batches.
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
        positives: Positives = "code",
        batch_size: int = 64,
        eval_batch_size: int = 256,
        token_budget: TokenBudget = "auto",
        chunk: Count | None = None,
        num_workers: Workers = 0,
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
        if mined is not None and positives != "code":
            raise InputError("negatives.mined are codes: expected data.positives=code with them, found query")
        self.positives_are = positives
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.token_budget, self.chunk = token_budget, chunk
        self.num_workers = num_workers
        self.seed = seed
        self.cache = cache
        self.position = (0, 0)  # of the training: the epoch, and how many of its batches are done
        self._sampler: EpochSampler | None = None
        self._fitted = False
        self._mined: MinedNegatives | None = None

    def state_dict(self) -> dict[str, int]:
        return dict(zip(("epoch", "batches"), self.position))

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The training loader starts there; where the parameters are sharded, Lightning has already made it."""
        self.position = state["epoch"], state["batches"]
        if self._sampler is not None:
            self._sampler.resume_at(state["epoch"], state["batches"] * self.batch_size)

    def setup(self, stage: str) -> None:
        if stage != "fit" or self._fitted:
            return
        train = self.corpus.split("train")
        if self.batch_size > len(train):
            raise InputError(
                f"data.batch_size must be at most the training split's {len(train)} pairs, found {self.batch_size}; "
                f"try data.batch_size={max(2, len(train) // 4)}"
            )
        if self.batching.needs_similarity and self.estimator is None:
            raise InputError("batching=similar needs an estimator, found weights=none: choose weights=bm25")
        if self.mined is not None:
            self._mined = read_mined(self.mined, train, self.mined_per_query, self.seed, self._one_language)
            self._mined.check(self.batch_size)
        if self.estimator is not None:
            self.estimator.fit(train.pairs)
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
        return self.corpus.batches == "one_language"

    @property
    def rank_slice(self) -> RankSlice:
        """What this device does of the trainer's work."""
        return RankSlice.of(self.trainer)

    def pools(self, split: str) -> list[tuple[slice, slice]]:
        """Which queries of a split are ranked among which candidates: all, or each language's among its own."""
        chosen, pools, query, code = self.corpus.split(split), [], 0, 0
        for part in chosen.parts or [chosen]:
            pools.append((slice(query, query + len(part)), slice(code, code + len(part.candidates))))
            query, code = query + len(part), code + len(part.candidates)
        return pools

    def positives(self, split: str) -> torch.Tensor:
        """positive_N: row of each query's code in the split's codebase."""
        return torch.as_tensor(self.corpus.split(split).positives)

    def train_dataloader(self) -> TrainLoader:
        pairs = self.corpus.split("train").pairs
        estimator = self.estimator or NoEstimator()
        sampler = self.batching.sampler(estimator.similarity, len(pairs), self.seed)
        if self._one_language:
            sampler = OneLanguageSampler(sampler, [pair.language for pair in pairs], self.batch_size)
        if self.rank_slice.world_size > 1:
            sampler = RankZeroSampler(sampler, self.rank_slice)
        if self.position != (0, 0):
            sampler.resume_at(self.position[0], self.position[1] * self.batch_size)
        self._sampler = sampler
        # Every device draws the whole batch, and its collate function keeps its own rows of it.
        return TrainLoader(
            range(len(pairs)),  # type: ignore[arg-type]  # a sequence is a dataset
            batch_size=self.batch_size,
            sampler=sampler,
            drop_last=True,  # a short batch has fewer negatives, and weights whose scale depends on their number
            collate_fn=self._collate(pairs),
            num_workers=self._workers,
            persistent_workers=self._workers > 0,
            worker_init_fn=ignore_group_signals,
            # Its own: workers are seeded from it, and their number must change neither order nor dropout.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _collate(self, pairs: Sequence[Pair]) -> TrainingCollate:
        queries = targets = [pair.query for pair in pairs]
        query_items = target_items = tokenised(self.encoder, queries, "query", self.cache)
        if self.positives_are == "code":
            targets = [pair.code for pair in pairs]
            target_items = tokenised(self.encoder, targets, "code", self.cache)
        copies = torch.stack([numbered(queries), numbered(targets)]) if self.mask_duplicates else None
        estimator = self.estimator if self.weigh else None
        bucketer = self._bucketer(self.chunk)
        return TrainingCollate(query_items, target_items, bucketer, estimator, copies, self.rank_slice, self._mined)

    @property
    def _device(self) -> str:
        return self.trainer.strategy.root_device.type if self.trainer else "cpu"

    @property
    def _workers(self) -> int:
        return loader_workers(self.num_workers, self._device)

    def _bucketer(self, most: int | None = None) -> LengthBucketer:
        # Every forward pass of a sharded model needs all devices, so that all must make equally many.
        budget = None if is_sharded(self.trainer) else token_budget(self.token_budget, self.encoder, self._device)
        return LengthBucketer(self.encoder, budget, most)

    def pair_ids(self, epoch: int, batch: int) -> list[str]:
        """The ids of the training pairs of a batch on all devices together. All devices must call it."""
        if self._sampler is None:
            raise RuntimeError("there is no batch before the training loader is made")
        rows = self._sampler.order(epoch)[batch * self.batch_size :][: self.batch_size]
        pairs = self.corpus.split("train").pairs
        return [pairs[row].id for row in rows]

    def on_after_batch_transfer(
        self, batch: TrainingBatch | EvaluationBatch, dataloader_idx: int
    ) -> TrainingBatch | EvaluationBatch:
        """Computes the batch's matrices on the device; those of a large batch when the loss reads a block of rows."""
        if isinstance(batch, EvaluationBatch):
            return batch
        shape = len(batch.positive_B), batch.columns
        if batch.estimator_inputs is not None and self.estimator is not None:
            compute = partial(self.estimator.similarity_on_device, batch.estimator_inputs)
            batch.similarity_BC, batch.estimator_inputs = matrix(compute, shape), None
        if batch.copy_inputs is not None:
            batch.excluded_BC = matrix(partial(copied, *batch.copy_inputs, batch.positive_B), shape)
            batch.copy_inputs = None
        return batch

    def val_dataloader(self) -> list[DataLoader[int]]:
        return self._evaluation_loaders(self.corpus.split("valid"))

    def test_dataloader(self) -> list[DataLoader[int]]:
        return self._evaluation_loaders(self.corpus.split("test"))

    def _evaluation_loaders(self, split: Split) -> list[DataLoader[int]]:
        queries = self._text_loader([pair.query for pair in split.pairs], "query")
        return [queries, self._text_loader(split.candidates.codes, "code")]

    def _text_loader(self, texts: Sequence[str], side: str) -> DataLoader[int]:
        return text_loader(
            texts, side, self._bucketer(), self.eval_batch_size, self._workers, self.cache, self.rank_slice
        )
