"""Encoding a batch in buckets of similar text lengths, so that little padding is computed; the loss sees one batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from src.backbones.base import Encoder, Features
from src.config.schema import TokenBudget
from src.utils.matmul import fast_linear_layers
from src.utils.ragged import Ragged

# Padded tokens that are encoded at once. cpu: of 256 to 8,192 the best, or within 5% of it, for MiniLM-L6 in float32
# and in bfloat16 (tests/benchmarks/parts.py). Others: not measured; a GPU needs more work at once, and 16,384 is what a
# batch of 64 texts of 256 tokens is anyway.
BUDGETS = {"cpu": 1024}
LARGE = 16384


@dataclass
class Buckets:
    """The texts of one side of a batch, in several buckets.

    Attributes:
        features: the features of each bucket, the longest texts first.
        place_B: for each text of the batch, its row among the rows of all buckets.
    """

    features: list[Features]
    place_B: torch.Tensor


BatchSide = Features | Buckets  # the queries or the codes of a batch


@dataclass(frozen=True)
class UntokenizedTexts:
    """Texts that are tokenized when they are indexed."""

    encoder: Encoder
    texts: Sequence[str]
    side: str  # `query` or `code`

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> Ragged:
        return self.encoder.tokenise([self.texts[row] for row in rows], self.side)


@dataclass(frozen=True)
class LengthBucketer:
    """Items -> one side of a batch, in buckets of at most `budget` padded tokens and `most` texts (None: no limit)."""

    encoder: Encoder
    budget: int | None = None
    most: int | None = None

    def __call__(self, items: Ragged) -> BatchSide:
        lengths_B = self.encoder.lengths(items)
        most, longest = self.most or len(items), max(1, lengths_B.max())
        if len(items) <= most and (self.budget is None or len(items) * longest <= self.budget):
            return self.encoder.features(items)
        order_B = np.argsort(-lengths_B, kind="stable")  # longest first: what does not fit into memory fails at once
        buckets, start = [], 0
        while start < len(items):
            longest = max(1, lengths_B[order_B[start]])
            end = start + (most if self.budget is None else min(most, max(1, self.budget // longest)))
            buckets.append(self.encoder.features(items[order_B[start:end]]))
            start = end
        return Buckets(buckets, torch.from_numpy(np.argsort(order_B)))


def embed_side(side: BatchSide, encoder: Encoder, similarity: str, gradient_caching: bool = False) -> torch.Tensor:
    """float32 embeddings_BD, normalised where the similarity is cosine, so that a dot product scores them."""
    embeddings_BD = embed_buckets(side, encoder, gradient_caching).float()
    return F.normalize(embeddings_BD, dim=1) if similarity == "cosine" else embeddings_BD


def embed_buckets(side: BatchSide, encoder: Encoder, gradient_caching: bool = False) -> torch.Tensor:
    """embeddings_BD in the order of the batch.

    With `gradient_caching`, only the features of a bucket and the state of the random numbers are kept for the backward
    pass. The bucket is embedded again there, with the same dropout, so that the memory is that of one bucket (Gao et
    al. 2021, arXiv 2101.06983).
    """

    def embed(features: Features) -> torch.Tensor:
        with fast_linear_layers(encoder, encoder.compiled):
            embeddings_BD: torch.Tensor = encoder(features)
        return embeddings_BD

    if not isinstance(side, Buckets):
        return embed(side)
    of_bucket: Callable[[Features], torch.Tensor] = embed
    if gradient_caching and torch.is_grad_enabled():
        of_bucket = partial(checkpoint, embed, use_reentrant=False, preserve_rng_state=True)
    return torch.cat([of_bucket(features) for features in side.features]).index_select(0, side.place_B)


def to_device(side: BatchSide, device: torch.device) -> BatchSide:
    """A copy on the device; Lightning moves the batches of a trainer by itself."""
    if isinstance(side, Buckets):
        return Buckets([_moved(features, device) for features in side.features], side.place_B.to(device))
    return _moved(side, device)


def _moved(features: Features, device: torch.device) -> Features:
    return {name: tensor.to(device) for name, tensor in features.items()}


def token_budget(asked: TokenBudget, encoder: Encoder, device: str) -> int | None:
    """Padded tokens of a bucket for `data.token_budget` on a device of this type; None: batches are not split."""
    if asked == "auto":
        return BUDGETS.get(device, LARGE) if encoder.padding_is_costly else None
    return asked
