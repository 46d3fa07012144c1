"""Texts to embeddings with a trained model, a batch at a time; the training's own loaders and the model's own device.

Shape letters: N texts, B texts of a batch, D embedding size.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from lightning.fabric.utilities import move_data_to_device
from omegaconf import DictConfig
from rich.progress import track

from src.loading import text_loader
from src.module import CodeSearchModule
from src.parts import Cut, token_budget


def embed_texts(module: CodeSearchModule, texts: Sequence[str], side: str, cfg: DictConfig, what: str) -> torch.Tensor:
    """float32 (N, D) on the CPU, in the order of the texts, as `module.embed` gives them; `side` is query or code.

    Args:
        cfg: a run's configuration: `trainer.accelerator` and `data` say where, and how many texts at once.
        what: is said beside the progress bar, where a person looks.
    """
    device = device_of(cfg.trainer.accelerator)
    module = module.to(device).eval()
    cut = Cut(module.encoder, token_budget(cfg.data.get("token_budget", "auto"), module.encoder, device.type))
    loader = text_loader(texts, side, cut, cfg.data.eval_batch_size, cache=cfg.cache)
    embeddings_ND = torch.empty(len(texts), module.encoder.embedding_size)
    with torch.inference_mode():
        for batch in track(loader, f" {what}", transient=True, disable=not sys.stdout.isatty()):
            embeddings_BD = module.embed(move_data_to_device(batch["features"], device)).cpu()
            embeddings_ND[batch["row"]] = embeddings_BD[batch["place"]]
    return embeddings_ND


def device_of(accelerator: str) -> torch.device:
    """Where `trainer.accelerator` puts a model, as far as this machine has it."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
