"""Embedding of codes in half precision, in batches by length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from src.data.length_buckets import LengthBucketer, token_budget
from src.deploy.encoder import Model
from src.training.encode import embed_batches
from src.utils.errors import NonFiniteError


class Embedder:
    """A model on a GPU where there is one.

    Args:
        batch_size: texts of a batch, which is divided into buckets of similar length.
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model, self.batch_size = model, batch_size
        model.encoder.to(device)
        self.cut = LengthBucketer(model.encoder, token_budget("auto", model.encoder, device))

    def __call__(self, codes: Sequence[str]) -> np.ndarray:
        """float16 (M, D) of codes, in their order. Raises NonFiniteError for a NaN or infinite embedding."""
        vectors_MD = np.empty((len(codes), self.model.encoder.embedding_size), np.float16)
        batches = embed_batches(lambda side: self.model.embed(side).half(), codes, "code", self.cut, self.batch_size)
        for rows_R, embeddings_RD in batches:
            vectors_MD[rows_R.numpy()] = embeddings_RD.numpy()
        if not np.isfinite(vectors_MD).all():
            bad = int(np.flatnonzero(~np.isfinite(vectors_MD).all(axis=1))[0])
            raise NonFiniteError(
                f"the model {self.model.checkpoint} gives NaN or infinite embeddings in half precision, such as for "
                f"{codes[bad][:60]!r}: use another run"
            )
        return vectors_MD
