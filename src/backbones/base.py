"""The encoder contract: a backbone owns its tokeniser, special tokens, maximum lengths and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from src.corpora.base import Pair

Features = dict[str, torch.Tensor]  # every tensor has the batch as its first dimension


class Encoder(nn.Module):
    """Turns texts into features (in the data loader's workers) and features into embeddings (on the device).

    Embeddings are not normalised here: `similarity: cosine` of the module does that.
    """

    embedding_size: int

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learns what must be learnt from the training split before training (tokeniser, IDF). Pretrained: nothing."""

    def queries(self, texts: Sequence[str]) -> Features:
        """Tokenises natural-language queries; padded to the longest of this batch."""
        raise NotImplementedError

    def codes(self, texts: Sequence[str]) -> Features:
        """Tokenises codes; padded to the longest of this batch."""
        raise NotImplementedError

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD of the features made by `queries` or `codes`."""
        raise NotImplementedError

    def identity(self) -> str:
        """What its weights start from, beyond the constructor's arguments and the seed: a hash, or nothing."""
        return ""

    def assets(self) -> dict[str, Any]:
        """What a checkpoint must carry beside the weights to rebuild this encoder (plain values and tensors only)."""
        return {}

    def load_assets(self, assets: dict[str, Any]) -> None:
        """Restores `assets()`; called before the weights are loaded, in place of `fit`."""
