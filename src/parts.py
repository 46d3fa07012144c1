"""A batch's texts in parts of about one length, so that hardly any padding is computed; the batch stays one batch.

A side of a batch is the features of all its texts or, where it was cut, {"parts": features of each part, "place": of
each text, its row among the parts' rows}: negatives are those of the whole batch in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from src.backbones.base import Encoder, Features
from src.errors import InputError
from src.ragged import Ragged

Side = Features | dict[str, Any]
# Padded tokens that are encoded at once. cpu: measured with MiniLM-L6 (tests/benchmarks/parts.py). Others: not
# measured; a GPU wants more work at once, and 16,384 is what a batch of 64 texts of 256 tokens is anyway.
BUDGETS = {"cpu": 2048}
LARGE = 16384


@dataclass(frozen=True)
class Unread:
    """Texts that are tokenised when they are asked for."""

    encoder: Encoder
    texts: Sequence[str]
    side: str  # `query` or `code`

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, rows: Sequence[int]) -> Ragged:
        return self.encoder.tokenise([self.texts[row] for row in rows], self.side)


@dataclass(frozen=True)
class Cut:
    """Items -> a side of a batch, in parts of at most `budget` padded tokens and at most `most` texts (None: any)."""

    encoder: Encoder
    budget: int | None = None
    most: int | None = None

    def __call__(self, items: Ragged) -> Side:
        lengths_N = self.encoder.lengths(items)
        most, longest = self.most or len(items), max(1, lengths_N.max())
        if len(items) <= most and (self.budget is None or len(items) * longest <= self.budget):
            return self.encoder.features(items)
        order_N = np.argsort(-lengths_N, kind="stable")  # the longest first: what does not fit in memory fails at once
        parts, start = [], 0
        while start < len(items):
            longest = max(1, lengths_N[order_N[start]])
            end = start + (most if self.budget is None else min(most, max(1, self.budget // longest)))
            parts.append(self.encoder.features(items[order_N[start:end]]))
            start = end
        return {"parts": parts, "place": torch.from_numpy(np.argsort(order_N))}


def embed_parts(side: Side, embed: Callable[[Features], torch.Tensor]) -> torch.Tensor:
    """embeddings_BD in the order of the batch."""
    if "parts" not in side:
        return embed(side)
    return torch.cat([embed(features) for features in side["parts"]]).index_select(0, side["place"])


def token_budget(asked: int | str | None, encoder: Encoder, device: str) -> int | None:
    """What `data.token_budget` asks for, on a device of this type; None: batches are not cut.

    Raises InputError where it is neither auto, nor null, nor a whole number from 1.
    """
    if asked == "auto":
        return BUDGETS.get(device, LARGE) if encoder.costs_padding else None
    if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or asked < 1):
        raise InputError(
            "data.token_budget must be auto, null (whole batches at once) or a whole number of padded tokens from 1, "
            f"found {asked!r}"
        )
    return asked
