"""The encoder contract: a backbone owns its tokeniser, special tokens, maximum lengths and pooling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from src.corpora.base import Pair
from src.utils.ragged import Ragged

Features = dict[str, torch.Tensor]  # every tensor has the batch as its first dimension


class Encoder(nn.Module):
    """Turns texts into items (once), items into features (per batch) and features into embeddings (on the device).

    Embeddings are not normalised here: `similarity: cosine` of the module does that.
    """

    embedding_size: int
    tokenises_in_threads = False  # True: `tokenise` uses all processors by itself
    costs_padding = True  # False: padding costs next to nothing, so that batches need not be cut by length
    compiled = False  # True once `compile` was called

    def check(self) -> None:
        """Raises InputError for what can be known of the encoder before any weight or data is read."""

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Learns what must be learnt from the training split before training (tokeniser, IDF). Pretrained: nothing."""

    def compile(self, *arguments: Any, **options: Any) -> None:
        """torch.compile, in place."""
        super().compile(*arguments, **options)
        self.compiled = True

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """Everything about texts that can be known before they meet in a batch; `side` is `query` or `code`."""
        raise NotImplementedError

    def features(self, items: Ragged) -> Features:
        """Items of one side as tensors, padded to the longest of these."""
        raise NotImplementedError

    def lengths(self, items: Ragged) -> np.ndarray:
        """(N,) places that each item takes where nothing is padded; by default, its longest column's."""
        return np.max([items.lengths(name) for name in items.columns], axis=0)

    def tokenising(self, side: str) -> Mapping[str, Any] | None:
        """What decides the items of a side beside texts and code, as plain values; None: they must not be kept."""
        return None

    def failures(self, side: str) -> Counter[str]:
        """Texts of a side that `tokenise` could not read as meant, by kind, since the process began; can be updated."""
        return Counter()

    def queries(self, texts: Sequence[str]) -> Features:
        """Features of natural-language queries."""
        return self.features(self.tokenise(texts, "query"))

    def codes(self, texts: Sequence[str]) -> Features:
        """Features of codes."""
        return self.features(self.tokenise(texts, "code"))

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
