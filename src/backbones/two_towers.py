"""Two encoders that share nothing: one for queries, one for codes."""

from __future__ import annotations

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

TOWERS = ("query", "code")


class TwoTowers(Encoder):
    """Queries go through one encoder, codes through another; they meet in the embeddings alone.

    Args:
        query: any encoder.
        code: any encoder, of the same embedding size.
        dropout: of both, in place of their own; None leaves each its own.

    Raises:
        InputError: on first use, embeddings of different sizes.
    """

    def __init__(self, query: Encoder, code: Encoder, dropout: Dropout | None = None) -> None:
        super().__init__()
        if dropout is not None:
            query.dropout = code.dropout = dropout  # read when a configuration is, or in each step
        self.query = query
        self.code = code
        self.tokenises_in_threads = query.tokenises_in_threads and code.tokenises_in_threads
        self.costs_padding = query.costs_padding or code.costs_padding

    def check(self) -> None:
        for tower in TOWERS:
            self._tower(tower).check()

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """As the side's tower does; the columns' names say which tower they are for."""
        items = self._tower(side).tokenise(texts, side)
        return items.renamed({name: f"{side}/{name}" for name in items.columns})

    def tokenising(self, side: str) -> Mapping[str, Any] | None:
        """What decides them in the side's tower, and which tower that is."""
        decides = self._tower(side).tokenising(side)
        return None if decides is None else {"tower": side, type(self._tower(side)).__name__: decides}

    def failures(self, side: str) -> Counter[str]:
        """Those of the side's tower."""
        return self._tower(side).failures(side)

    def features(self, items: Ragged) -> Features:
        """As the side's tower does, under names that say which tower they are for."""
        side, own = self._own(items)
        return {f"{side}/{name}": tensor for name, tensor in self._tower(side).features(own).items()}

    def lengths(self, items: Ragged) -> np.ndarray:
        """(N,) as the side's tower counts them."""
        side, own = self._own(items)
        return self._tower(side).lengths(own)

    def _own(self, items: Ragged) -> tuple[str, Ragged]:
        """The side of items, and the items as its tower made them."""
        name_of = {name: name.partition("/")[2] for name in items.columns}
        return next(iter(items.columns)).partition("/")[0], items.renamed(name_of)

    @property
    def embedding_size(self) -> int:  # type: ignore[override]
        sizes = {tower: self._tower(tower).embedding_size for tower in TOWERS}
        if sizes["query"] != sizes["code"]:
            raise InputError(
                f"backbone=two_towers needs embeddings of one size, found {sizes['query']} for backbone.query and "
                f"{sizes['code']} for backbone.code; choose other towers, or set encoder.dimensions of the larger one"
            )
        return sizes["query"]

    def forward(self, features: Features) -> torch.Tensor:
        """embeddings_BD."""
        tower = next(iter(features)).partition("/")[0]
        return self._tower(tower)({name.partition("/")[2]: tensor for name, tensor in features.items()})

    def _tower(self, tower: str) -> Encoder:
        return self.get_submodule(tower)  # type: ignore[return-value]

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Fits both, after it is sure that their sizes agree."""
        assert self.embedding_size
        for tower in TOWERS:
            self._tower(tower).fit(pairs)

    def identity(self) -> str:
        """Hash of both."""
        return fingerprint(self._tower(tower).identity() for tower in TOWERS)

    def assets(self) -> dict[str, Any]:
        """Those of both."""
        return {tower: self._tower(tower).assets() for tower in TOWERS}

    def load_assets(self, assets: dict[str, Any]) -> None:
        for tower in TOWERS:
            self._tower(tower).load_assets(assets[tower])
