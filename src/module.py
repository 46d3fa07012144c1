"""The LightningModule: the only place where encoder, loss and metrics meet."""

from collections.abc import Callable
from typing import Any, Protocol, cast

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.nn.utils import clip_grads_with_norm_
from transformers import get_linear_schedule_with_warmup

from src.backbones.base import Encoder
from src.config.schema import LossBlock, Similarity
from src.corpora.base import Corpus
from src.data.collate import EvaluationBatch, TrainingBatch
from src.data.length_buckets import BatchSide, embed_side
from src.losses.base import Loss
from src.losses.blocks import AUTO, mean_loss, scores
from src.metrics.geometry import alignment, uniformity
from src.metrics.ranking import rank_queries
from src.metrics.retrieval import summarize
from src.runtime.distributed import RankSlice, all_gather_rows, all_gather_with_grad, seed_per_rank, shard
from src.utils.lazy_matrix import some_rows
from src.utils.torch_internals import leave_unscaling_to_lightning


class RankingData(Protocol):
    """What the module asks of its datamodule in order to rank a split."""

    corpus: Corpus

    def positives(self, split: str) -> torch.Tensor: ...

    def pools(self, split: str) -> list[tuple[slice, slice]]: ...


Embedded = list[tuple[torch.Tensor, torch.Tensor]]  # of each batch: rows of the split, and their embeddings


class CodeSearchModule(L.LightningModule):
    """A dual encoder trained with one of the losses and ranked against a whole codebase.

    Args:
        encoder: embeds queries and codes; already fitted (its parameters exist).
        loss: called on scores_BC = score_scale * similarity(query, code).
        similarity: `dot` or `cosine`.
        score_scale: 1 / temperature of the scores.
        loss_block: rows of scores that the loss takes at a time; see `src.losses.blocks.mean_loss`.
        learning_rate: peak of AdamW's linear warm-up and decay.
        weight_decay: on matrices only.
        warmup: fraction of all steps.
        gradient_caching: whether the buckets of a training batch are embedded again in the backward pass, instead of
            keeping their activations.
    """

    def __init__(
        self,
        encoder: Encoder,
        loss: Loss,
        similarity: Similarity = "dot",
        score_scale: float = 1.0,
        loss_block: LossBlock = AUTO,
        learning_rate: float = 2e-5,
        weight_decay: float = 0.0,
        warmup: float = 0.0,
        gradient_caching: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.loss = loss
        self.similarity, self.score_scale, self.loss_block = similarity, score_scale, loss_block
        self.learning_rate, self.weight_decay, self.warmup = learning_rate, weight_decay, warmup
        self.gradient_caching = gradient_caching
        self.run_config: dict[str, Any] = {}  # plain values, saved in every checkpoint
        self.gradient_norm: torch.Tensor | None = None  # of this step, until it is clipped
        self.test_ranks: torch.Tensor | None = None  # ranks_N of the last test, in the order of the split
        # Called with ranks_N, queries_ND and codes_MD of a test: embeddings are not kept.
        self.on_tested: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None] | None = None
        self._embedded: tuple[Embedded, Embedded] = ([], [])  # of queries and of codes, of an evaluation

    # Scores

    def embed(self, side: BatchSide) -> torch.Tensor:
        """float32 embeddings_BD, normalised where the similarity is cosine, so that a dot product scores them."""
        return embed_side(side, self.encoder, self.similarity, self.gradient_caching and self.training)

    def score(self, queries_BD: torch.Tensor, codes_CD: torch.Tensor) -> torch.Tensor:
        """scores_BC in float32 under any autocast."""
        return scores(queries_BD, codes_CD, self.score_scale)

    def mean_loss(self, queries_BD: torch.Tensor, codes_CD: torch.Tensor, batch: TrainingBatch) -> torch.Tensor:
        """The loss of a batch's rows against these columns, in blocks of rows where that pays."""
        return mean_loss(
            self.loss,
            queries_BD,
            codes_CD,
            batch.positive_B,
            batch.similarity_BC,
            batch.excluded_BC,
            score_scale=self.score_scale,
            block=self.loss_block,
        )

    # Training

    @property
    def rank_slice(self) -> RankSlice:
        """The part of this rank in the trainer's work; all of it outside of one."""
        try:
            return RankSlice.of(self.trainer)
        except RuntimeError:  # Lightning's, where no trainer is attached
            return RankSlice()

    def configure_model(self) -> None:
        if self.device_mesh is not None:  # trainer=fsdp
            shard(self.encoder, self.device_mesh["data_parallel"])

    def on_train_start(self) -> None:
        seed_per_rank(self.rank_slice)

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> torch.Tensor:
        queries_BD, codes_BD = self.embed(batch.queries), self.embed(batch.codes)
        loss = self.mean_loss(queries_BD, all_gather_with_grad(codes_BD, self.rank_slice), batch)
        if batch.excluded_BC is not None:
            excluded_BC = some_rows(batch.excluded_BC)
            self.log("negatives/excluded", excluded_BC.sum(dim=1).float().mean(), sync_dist=True)  # of a row
        self.log("train/loss", loss, prog_bar=True, batch_size=len(queries_BD), sync_dist=True)
        schedule: Any = self.lr_schedulers()  # the one of `configure_optimizers`
        self.log("train/learning_rate", schedule.get_last_lr()[0])
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        parameters = [p for p in self.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, fused=True)  # on a CPU, 6 times as fast or more
        leave_unscaling_to_lightning(optimizer)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]  # transformers declares no types
            optimizer, round(self.warmup * steps), steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As Lightning does it, by the norm that `src.training.nonfinite` has taken: that saves a pass over them."""
        norm, self.gradient_norm = self.gradient_norm, None
        if norm is None or not gradient_clip_val or gradient_clip_algorithm == "value":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        clip_grads_with_norm_((p for g in optimizer.param_groups for p in g["params"]), gradient_clip_val, norm)

    # Evaluation: embed both loaders, then rank every query against the whole codebase

    def reset_after_failure(self) -> None:
        """Drops the gradients and embeddings of a step or an evaluation that failed."""
        self.gradient_norm = None
        self.zero_grad(set_to_none=True)
        self.train()
        for batches in self._embedded:
            batches.clear()

    def validation_step(self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int) -> None:
        self._embedded[dataloader_idx].append((batch.row_R, self.embed(batch.features)[batch.place_R]))

    test_step = validation_step

    @property
    def _data(self) -> RankingData:
        return cast(RankingData, self.trainer.datamodule)  # type: ignore[attr-defined]  # Lightning sets it at run time

    def _rank(self, split: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        queries_ND, codes_MD = (_in_order(batches, self.rank_slice) for batches in self._embedded)
        for batches in self._embedded:
            batches.clear()
        positive_N = self._data.positives(split).to(queries_ND.device)
        ranks = []
        for queries, among in self._data.pools(split):
            query_ND, own_N = queries_ND[queries], positive_N[queries] - among.start
            own_rows = self.rank_slice.rows(len(query_ND))
            ranked = rank_queries(query_ND[own_rows], codes_MD[among], own_N[own_rows])
            ranks.append(all_gather_rows(ranked, self.rank_slice, self.device))
        return ranks[0] if len(ranks) == 1 else torch.cat(ranks), queries_ND, codes_MD

    def on_validation_epoch_end(self) -> None:
        ranks_N, queries_ND, codes_MD = self._rank("valid")
        positives_ND = codes_MD[self._data.positives("valid").to(codes_MD.device)]
        means = [(1 / ranks_N[own]).mean().float() for own, _ in self._data.pools("valid")]
        self.log("val/mrr", means[0] if len(means) == 1 else torch.stack(means).mean(), prog_bar=True)
        self.log("val/alignment", alignment(queries_ND, positives_ND))
        self.log("val/uniformity", uniformity(torch.cat([queries_ND, positives_ND])))

    def on_test_epoch_end(self) -> None:
        self.test_ranks, queries_ND, codes_MD = self._rank("test")
        if self.on_tested:
            self.on_tested(self.test_ranks, queries_ND, codes_MD)
        sizes = self._data.corpus.split("test").sizes
        self.log_dict({f"test/{name}": float(value) for name, value in summarize(self.test_ranks, sizes).items()})

    # What a checkpoint needs in addition to the weights

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["encoder_assets"] = self.encoder.assets()
        checkpoint["run_config"] = self.run_config


def _in_order(batches: Embedded, rank_slice: RankSlice) -> torch.Tensor:
    """Embeddings of all devices in the order of the split: loaders sort texts by length."""
    rows = all_gather_rows(torch.cat([rows for rows, _ in batches]), rank_slice)
    embeddings = all_gather_rows(torch.cat([embeddings for _, embeddings in batches]), rank_slice)
    return embeddings[rows.argsort()]
