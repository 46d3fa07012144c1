"""Codes to vectors in half precision, batches by length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from src.data.length_buckets import LengthBucketer, token_budget
from src.deploy.encoder import Model
from src.training.encode import embed_batches
from src.utils.errors import NonFiniteError


class Embedder:
    """A model on the device where it is fastest.

    Args:
        batch_size: texts of a batch; a batch is cut into parts of about one length.
    """

    def __init__(self, model: Model, batch_size: int) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model, self.batch_size = model, batch_size
        model.encoder.to(device)
        self.cut = LengthBucketer(model.encoder, token_budget("auto", model.encoder, device))

    def __call__(self, codes: Sequence[str]) -> np.ndarray:
        """float16 (M, D) of codes, in their order. Raises NonFiniteError for an embedding that is no number."""
        vectors_MD: np.ndarray | None = None
        batches = embed_batches(lambda side: self.model.embed(side).half(), codes, "code", self.cut, self.batch_size)
        for rows_R, embeddings_RD in batches:
            if vectors_MD is None:
                vectors_MD = np.empty((len(codes), embeddings_RD.shape[1]), np.float16)
            vectors_MD[rows_R.numpy()] = embeddings_RD.numpy()
        if not np.isfinite(vectors_MD).all():
            bad = int(np.flatnonzero(~np.isfinite(vectors_MD).all(axis=1))[0])
            raise NonFiniteError(
                f"the model {self.model.checkpoint} gives embeddings that are no numbers in half precision, such as "
                f"for {codes[bad][:60]!r}: take another run"
            )
        return vectors_MD
