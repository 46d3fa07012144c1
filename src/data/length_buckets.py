"""A batch's texts in parts of about one length, so that hardly any padding is computed; the batch stays one batch.

A side of a batch is the features of all its texts or, where it was cut, {"parts": features of each part, "place": of
each text, its row among the parts' rows}: negatives are those of the whole batch in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from src.backbones.base import Encoder, Features
from src.utils.errors import InputError
from src.utils.ragged import Ragged

Side = Features | dict[str, Any]
# Padded tokens that are encoded at once. cpu: of 256 to 8,192 the best, or within 5% of it, for MiniLM-L6 in float32
# and in bfloat16 (tests/benchmarks/parts.py). Others: not measured; a GPU wants more work at once, and 16,384 is what a
# batch of 64 texts of 256 tokens is anyway.
BUDGETS = {"cpu": 1024}
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


def embed_parts(side: Side, embed: Callable[[Features], torch.Tensor], replay: bool = False) -> torch.Tensor:
    """embeddings_BD in the order of the batch.

    Where `replay`, nothing of a part is kept for the backward pass but its features and the state of the random
    numbers: it is embedded once more there, with the same dropout, and so the memory is that of one part (gradient
    caching: Gao et al. 2021, arXiv 2101.06983).
    """
    if "parts" not in side:
        return embed(side)
    if replay and torch.is_grad_enabled():
        embed = partial(checkpoint, embed, use_reentrant=False, preserve_rng_state=True)
    return torch.cat([embed(features) for features in side["parts"]]).index_select(0, side["place"])


def token_budget(asked: int | str | None, encoder: Encoder, device: str) -> int | None:
    """What `data.token_budget` asks for, on a device of this type; None: batches are not cut.

    Raises InputError where it is neither auto, nor null, nor a whole number from 1.
    """
    if asked == "auto":
        return BUDGETS.get(device, LARGE) if encoder.padding_is_costly else None
    return whole_number("data.token_budget", asked, "auto, null (whole batches at once) or a number of padded tokens")


def whole_number(key: str, value: Any, expected: str) -> int | None:
    """The value, where it is null or a whole number from 1; raises InputError where it is not."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InputError(f"{key} must be {expected} from 1, found {value!r}")
    return value
