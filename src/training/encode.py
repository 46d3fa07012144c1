"""Texts to embeddings with a trained model, a batch at a time; the training's own loaders and the model's own device.

Shape letters: N texts, B texts of a batch, R rows of the texts that a batch serves, D embedding size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning.fabric.utilities import move_data_to_device
from omegaconf import DictConfig
from rich.progress import track

from src.data.collate import text_loader
from src.data.length_buckets import BatchSide, LengthBucketer, token_budget

if TYPE_CHECKING:
    from src.module import CodeSearchModule  # an index is made without


def embed_batches(
    embed: Callable[[BatchSide], torch.Tensor],
    texts: Sequence[str],
    side: str,
    cut: LengthBucketer,
    batch_size: int,
    num_workers: int = 0,
    cache: str | Path | None = None,
    what: str | None = None,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """int64 (R,) rows of the texts and their embeddings (R, D) on the CPU, batch by batch; each row comes once.

    Args:
        embed: features on the encoder's device -> embeddings_BD, without gradient.
        side: `query` or `code`.
        cut: how a batch is cut; its encoder is where and how the model wants it.
        batch_size: distinct texts of a batch, the longest first.
        cache: keeps the tokens, where given.
        what: is said beside a progress bar, where a person looks; None shows none.
    """
    device = next(cut.encoder.parameters()).device
    loader = text_loader(texts, side, cut, batch_size, num_workers, cache)
    for batch in track(loader, f" {what}", transient=True, disable=what is None or not sys.stdout.isatty()):
        with torch.inference_mode():  # not around the yield: whoever takes the rows would be inside it too
            embeddings_BD = embed(move_data_to_device(batch.features, device)).cpu()
            embeddings_RD = embeddings_BD[batch.place_R]
        yield batch.row_R, embeddings_RD


def embed_texts(module: CodeSearchModule, texts: Sequence[str], side: str, cfg: DictConfig, what: str) -> torch.Tensor:
    """float32 (N, D) on the CPU, in the order of the texts, as `module.embed` gives them; `side` is query or code.

    Args:
        cfg: a run's configuration: `trainer.accelerator` and `data` say where, and how many texts at once.
        what: is said beside the progress bar, where a person looks.
    """
    cut = placed(module, cfg)
    embeddings_ND = torch.empty(len(texts), module.encoder.embedding_size)
    batches = embed_batches(module.embed, texts, side, cut, cfg.data.eval_batch_size, cache=cfg.cache, what=what)
    for rows_R, embeddings_RD in batches:
        embeddings_ND[rows_R] = embeddings_RD
    return embeddings_ND


def placed(module: CodeSearchModule, cfg: DictConfig) -> LengthBucketer:
    """Moves the module to the device of `cfg` in evaluation mode; how batches are cut there."""
    device = device_of(cfg.trainer.accelerator)
    encoder = module.to(device).eval().encoder
    return LengthBucketer(encoder, token_budget(cfg.data.get("token_budget", "auto"), encoder, device.type))


def device_of(accelerator: str) -> torch.device:
    """Where `trainer.accelerator` puts a model, as far as this machine has it."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
