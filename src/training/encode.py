"""Texts to embeddings with a trained model, a batch at a time; the training's own loaders and the model's own device.

Shape letters: N texts, B texts of a batch, R rows of the texts that a batch serves, D embedding size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from omegaconf import DictConfig
from rich.progress import track

from src.data.collate import text_loader
from src.data.length_buckets import BatchSide, LengthBucketer, token_budget
from src.utils.errors import NonFiniteError

if TYPE_CHECKING:
    from src.module import CodeSearchModule  # an index is made without

Array = TypeVar("Array", bound=np.ndarray)  # in memory or in a file


def embed_in_order(
    embed: Callable[[BatchSide], torch.Tensor],
    texts: Sequence[str],
    side: str,
    cut: LengthBucketer,
    batch_size: int,
    *,
    model: str,
    allocate: Callable[[tuple[int, int]], Array],
    num_workers: int = 0,
    cache: str | Path | None = None,
    progress: str | None = None,
) -> Array:
    """embeddings_ND in the order of the texts, written into what `allocate((N, D))` returns.

    Args:
        embed: features on the encoder's device -> embeddings_BD, without gradient.
        side: `query` or `code`.
        cut: how a batch is cut; its encoder is where and how the model wants it.
        batch_size: distinct texts of a batch, the longest first.
        model: its name in the error.
        cache: keeps the tokens, where given.
        progress: label of a progress bar in a terminal; None shows none.

    Raises NonFiniteError for an embedding that holds inf or NaN.
    """
    embeddings_ND: Array | None = None
    device = next(cut.encoder.parameters()).device
    loader = text_loader(texts, side, cut, batch_size, num_workers, cache)
    hidden = progress is None or not sys.stdout.isatty()
    for batch in track(loader, f" {progress}", transient=True, disable=hidden):
        rows_R = batch.row_R
        with torch.inference_mode():
            embeddings_RD = embed(move_data_to_device(batch.features, device)).cpu()[batch.place_R]
        if not (finite_R := embeddings_RD.isfinite().all(dim=1)).all():
            bad = int(rows_R[~finite_R][0])
            raise NonFiniteError(
                f"{model} gives an embedding that is not finite (inf or NaN) for {side} {bad} ({texts[bad][:60]!r}): "
                "take another model"
            )
        if embeddings_ND is None:
            embeddings_ND = allocate((len(texts), embeddings_RD.shape[1]))
        embeddings_ND[rows_R.numpy()] = embeddings_RD.numpy()
    return allocate((0, cut.encoder.embedding_size)) if embeddings_ND is None else embeddings_ND


def embed_texts(
    module: CodeSearchModule, texts: Sequence[str], side: str, cfg: DictConfig, progress: str
) -> torch.Tensor:
    """float32 (N, D) on the CPU, in the order of the texts, as `module.embed` gives them; `side` is query or code.

    Args:
        cfg: a run's configuration: `trainer.accelerator` and `data` say where, and how many texts at once.
        progress: label of the progress bar.
    """
    return torch.from_numpy(
        embed_in_order(
            module.embed,
            texts,
            side,
            prepare_encoder(module, cfg),
            cfg.data.eval_batch_size,
            model="the model",
            allocate=lambda shape: np.empty(shape, np.float32),
            cache=cfg.cache,
            progress=progress,
        )
    )


def prepare_encoder(module: CodeSearchModule, cfg: DictConfig) -> LengthBucketer:
    """Moves the module to the device of `cfg` in evaluation mode; returns how batches are cut there."""
    device = device_of(cfg.trainer.accelerator)
    encoder = module.to(device).eval().encoder
    return LengthBucketer(encoder, token_budget(cfg.data.get("token_budget", "auto"), encoder, device.type))


def device_of(accelerator: str) -> torch.device:
    """The device for `trainer.accelerator`; the CPU where this machine lacks it."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
