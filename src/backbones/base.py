"""The encoder contract: a backbone owns its tokenizer, special tokens, maximum lengths and pooling.

Shape letters: B texts, L tokens, D embedding size.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from src.config.choices import Pooling
from src.corpora.base import Pair
from src.utils.ragged import Ragged

Features = dict[str, torch.Tensor]  # every tensor has the batch as its first dimension


class Encoder(nn.Module, ABC):
    """Turns texts into items (once), items into features (per batch) and features into embeddings (on the device).

    A subclass sets `embedding_size` and implements `tokenise`, `features` and `forward`; all other methods have a
    default. Embeddings are not normalised here: the module does that for `similarity: cosine`.
    """

    embedding_size: int
    dropout: float | None = None  # None: the checkpoint's own, or the encoder has no such setting
    tokenises_in_threads = False  # True: `tokenise` uses all processors by itself
    padding_is_costly = True  # False: padding costs next to nothing, so that batches need no length buckets
    compiled = False  # True once `compile` was called

    def check(self) -> None:
        """Raises InputError for every fault of the encoder that shows before weights or data are read."""

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learns what is needed from the training split before training (a vocabulary, IDF). Pretrained: nothing."""

    def compile(self, *arguments: Any, **options: Any) -> None:
        """torch.compile, in place."""
        super().compile(*arguments, **options)
        self.compiled = True

    @abstractmethod
    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """All processing of texts that does not depend on their batch; `side` is `query` or `code`."""

    @abstractmethod
    def features(self, items: Ragged) -> Features:
        """Items of one side as tensors, padded to the longest item."""

    @abstractmethod
    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD of the features made by `queries` or `codes`."""

    def lengths(self, items: Ragged) -> np.ndarray:
        """(N,) positions that each item takes without padding; by default those of its longest column."""
        return np.asarray(np.max([items.lengths(name) for name in items.columns], axis=0))

    def tokenization_settings(self, side: str) -> Mapping[str, Any] | None:
        """All settings that change the items of a side, as plain values; None: the items must not be cached."""
        return None

    def parse_failures(self, side: str) -> Counter[str]:
        """Texts of a side that `tokenise` could not parse in this process, by kind; callers may update it."""
        return Counter()

    def queries(self, texts: Sequence[str]) -> Features:
        """Features of natural-language queries."""
        return self.features(self.tokenise(texts, "query"))

    def codes(self, texts: Sequence[str]) -> Features:
        """Features of codes."""
        return self.features(self.tokenise(texts, "code"))

    def identity(self) -> str:
        """Hash of the initial weights, if more than the constructor's arguments and the seed decides them; or ""."""
        return ""

    def assets(self) -> dict[str, Any]:
        """What a checkpoint needs besides the weights to rebuild this encoder (plain values and tensors only)."""
        return {}

    def load_assets(self, assets: dict[str, Any]) -> None:
        """Restores `assets()`; called instead of `fit`, before the weights are loaded."""


def pool(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """embeddings_BD in float32 or better, for padding on either side.

    Args:
        hidden_BLD: last hidden states; those of padding may have any value, even NaN.
        mask_BL: 1 on real tokens, 0 on padding.
        pooling: `cls` takes the first real token, `last` the last one, `mean` the mean over the real ones. (`pooler`
            is a layer of the model, which this function does not compute.)
    """
    hidden_BLD = hidden_BLD.to(torch.promote_types(hidden_BLD.dtype, torch.float32))  # bfloat16 cannot count past 256
    if pooling == "mean":
        padding_BL1 = (mask_BL == 0).unsqueeze(-1)
        return hidden_BLD.masked_fill(padding_BL1, 0).sum(dim=1) / mask_BL.sum(dim=1, keepdim=True).clamp(min=1)
    position_L = torch.arange(1, mask_BL.shape[1] + 1, device=mask_BL.device)
    if pooling == "last":
        token_B = (mask_BL * position_L).argmax(dim=1)
    elif pooling == "cls":
        token_B = (mask_BL * position_L.flip(0)).argmax(dim=1)
    else:
        raise ValueError(f"pool() knows cls, mean and last, found {pooling!r}")
    # shape[0] instead of len(), so that an exported graph takes any number of texts
    return hidden_BLD[torch.arange(hidden_BLD.shape[0], device=mask_BL.device), token_B]
