"""Two separate encoders: one for queries, one for codes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from src.backbones.base import Encoder, Features
from src.config.types import Dropout
from src.corpora.base import Pair, fingerprint
from src.utils.errors import InputError
from src.utils.ragged import Ragged


class TwoTowers(Encoder):
    """Queries go through one encoder, codes through another; only the embedding space is shared.

    Args:
        query: any encoder.
        code: any encoder, of the same embedding size.
        dropout: for both, instead of their own; None keeps each one's own.

    Raises InputError: on first use, embeddings of different sizes.
    """

    def __init__(self, query: Encoder, code: Encoder, dropout: Dropout | None = None) -> None:
        super().__init__()
        if dropout is not None:
            query.dropout = code.dropout = dropout  # not read before the configuration, or before each step
        self.query = query
        self.code = code
        self.tokenises_in_threads = query.tokenises_in_threads and code.tokenises_in_threads
        self.padding_is_costly = query.padding_is_costly or code.padding_is_costly

    def check(self) -> None:
        for tower in self.towers.values():
            tower.check()

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """The items of the side's tower; the names of their columns begin with the side."""
        items = self.towers[side].tokenise(texts, side)
        return items.renamed({name: f"{side}/{name}" for name in items.columns})

    def tokenization_settings(self, side: str) -> Mapping[str, Any] | None:
        """The settings of the side's tower, its class and the side."""
        settings = self.towers[side].tokenization_settings(side)
        return None if settings is None else {"tower": side, type(self.towers[side]).__name__: settings}

    def parse_failures(self, side: str) -> Counter[str]:
        """The failures of the side's tower."""
        return self.towers[side].parse_failures(side)

    def features(self, items: Ragged) -> Features:
        """The features of the side's tower; their names begin with the side."""
        side, own = self._tower_items(items)
        return {f"{side}/{name}": tensor for name, tensor in self.towers[side].features(own).items()}

    def lengths(self, items: Ragged) -> np.ndarray:
        """(N,) lengths that the side's tower computes."""
        side, own = self._tower_items(items)
        return self.towers[side].lengths(own)

    def _tower_items(self, items: Ragged) -> tuple[str, Ragged]:
        """The side of the items, and the items with the column names of its tower."""
        name_of = {name: name.partition("/")[2] for name in items.columns}
        return next(iter(items.columns)).partition("/")[0], items.renamed(name_of)

    @property
    def embedding_size(self) -> int:  # type: ignore[override]  # read-only: it follows from the towers
        query, code = self.query.embedding_size, self.code.embedding_size
        if query != code:
            raise InputError(
                f"backbone=two_towers needs embeddings of one size, found {query} for backbone.query and {code} for "
                "backbone.code; choose other towers, or set encoder.dimensions of the larger one"
            )
        return query

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD."""
        side = next(iter(features)).partition("/")[0]
        return self.towers[side]({name.partition("/")[2]: tensor for name, tensor in features.items()})

    @property
    def towers(self) -> dict[str, Encoder]:
        """The encoder of each side."""
        return {"query": self.query, "code": self.code}

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Fits both. Raises InputError before that for embeddings of different sizes."""
        assert self.embedding_size
        for tower in self.towers.values():
            tower.fit(pairs)

    def identity(self) -> str:
        """Hash over both."""
        return fingerprint(tower.identity() for tower in self.towers.values())

    def assets(self) -> dict[str, Any]:
        """The assets of both, by side."""
        return {side: tower.assets() for side, tower in self.towers.items()}

    def load_assets(self, assets: dict[str, Any]) -> None:
        for side, tower in self.towers.items():
            tower.load_assets(assets[side])
