"""From a configuration to objects, with the checks that must fail before anything expensive starts."""

from pathlib import Path
from typing import Annotated, Any

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.backbones.base import Encoder
from src.config import schema
from src.config.arguments import arguments
from src.config.targets import from_outside
from src.corpora.base import Corpus
from src.data.samplers import Batching
from src.datamodule import CodeSearchData
from src.losses.base import Loss
from src.module import CodeSearchModule
from src.runs.restore import load_checkpoint, restore_encoder
from src.utils.errors import InputError, nearest
from src.weights.base import Estimator
from src.weights.none import NoEstimator


def build_loss(cfg: DictConfig) -> Loss:
    """The loss; raises InputError where it has no meaning with this batch size or without an estimator."""
    loss: Loss = instantiate(cfg.loss)
    loss.check_negatives(cfg.data.batch_size - 1)
    return loss


def build_estimator(cfg: DictConfig, loss: Loss) -> Estimator | None:
    """The estimator, not yet fitted; None where neither the loss nor the batching uses a similarity."""
    batching: Batching = instantiate(cfg.batching)
    if not loss.needs_similarity and not batching.needs_similarity:
        return None
    estimator: Estimator = instantiate(cfg.weights)
    if isinstance(estimator, NoEstimator):
        asking = type(loss).__name__ if loss.needs_similarity else "batching=similar"
        instead = "loss=infonce" if loss.needs_similarity else "batching=random"
        raise InputError(f"{asking} needs an estimator, found weights=none: choose weights=bm25, or {instead}")
    return estimator


def build_data(
    cfg: DictConfig, corpus: Corpus, encoder: Encoder, estimator: Estimator | None, weigh: bool = True
) -> CodeSearchData:
    return CodeSearchData(
        corpus,
        encoder,
        estimator,
        instantiate(cfg.batching),
        weigh,
        seed=cfg.seed,
        chunk=cfg.trainer.get("grad_cache_chunk"),
        cache=cfg.cache,
        **cfg.negatives,
        **cfg.data,
    )


def build_module(cfg: DictConfig, encoder: Encoder, loss: Loss) -> CodeSearchModule:
    gradient_caching = cfg.trainer.get("grad_cache_chunk") is not None
    return CodeSearchModule(encoder, loss, **cfg.model, **cfg.optimizer, gradient_caching=gradient_caching)


def trainer(**options: Annotated[Any, schema.Trainer, L.Trainer]) -> L.Trainer:
    """lightning.Trainer, less the keys of conf/trainer that it does not have: others read them."""
    taken = arguments(L.Trainer)
    return L.Trainer(**{key: value for key, value in options.items() if key in taken})


def compile_encoder(encoder: Encoder, asked: bool | str) -> None:
    """torch.compile of the encoder, in place and for any shape, where `trainer.compile` is true or names a backend.

    Raises InputError where there is no such backend.
    """
    if not asked:
        return
    backend = "inductor" if asked is True else asked
    if backend not in (known := torch.compiler.list_backends(exclude_tags=())):
        raise InputError(
            f"trainer.compile must be false, true or one of {', '.join(known)}, found {asked!r}"
            + nearest(str(asked), known)
        )
    encoder.compile(backend=backend, dynamic=True)


def restore_module(cfg: DictConfig, checkpoint: dict[str, Any], source: str | Path) -> CodeSearchModule:
    """The model of a checkpoint; raises InputError where `cfg` describes another kind of model."""
    encoder: Encoder = instantiate(cfg.backbone.encoder)
    restore_encoder(encoder, checkpoint, cfg, source)
    module = build_module(cfg, encoder, build_loss(cfg))
    load_weights(module, checkpoint, source)
    return module


def load_weights(module: CodeSearchModule, checkpoint: dict[str, Any], source: str | Path) -> None:
    """Raises InputError where the checkpoint's tensors do not fit the model that its configuration describes."""
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise InputError(
            f"checkpoint {source} does not fit the model that it describes ({lines[-1].strip()}): "
            "another tokeniser or size; give a checkpoint as src.train wrote it"
        ) from error


def read_module(path: Path) -> CodeSearchModule:
    """The model of a checkpoint of this project."""
    checkpoint = load_checkpoint(path)
    return restore_module(from_outside(checkpoint["run_config"], f"checkpoint {path}"), checkpoint, path)
