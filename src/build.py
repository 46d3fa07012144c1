"""From a configuration to objects, with the checks that must fail before anything expensive starts."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.backbones.base import Encoder
from src.batching import Batching
from src.config.types import Count, Positive
from src.corpora.base import Corpus
from src.datamodule import CodeSearchData
from src.errors import InputError, nearest
from src.losses.base import Loss
from src.losses.blocks import AUTO, check_block
from src.module import CodeSearchModule
from src.weights.base import Estimator
from src.weights.none import NoEstimator

# Of an encoder's configuration: what a model may go on with otherwise than it was trained.
TRAINING_ONLY = {"dropout", "frozen_layers", "gradient_checkpointing", "attn_implementation", "dtype"}


def build_loss(cfg: DictConfig) -> Loss:
    """The loss; raises InputError where it has no meaning with this batch size or without an estimator."""
    loss: Loss = instantiate(cfg.loss)
    loss.check_negatives(cfg.data.batch_size - 1)
    check_block(cfg.model.get("loss_block", AUTO))
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
        *(corpus, encoder, estimator, instantiate(cfg.batching), weigh),
        seed=cfg.seed,
        chunk=cfg.trainer.get("grad_cache_chunk"),
        cache=cfg.cache,
        **cfg.negatives,
        **cfg.data,
    )


def build_module(cfg: DictConfig, encoder: Encoder, loss: Loss) -> CodeSearchModule:
    replay = cfg.trainer.get("grad_cache_chunk") is not None
    return CodeSearchModule(encoder, loss, **cfg.model, **cfg.optimizer, replay=replay)


def trainer(
    grad_cache_chunk: Count | None = None,
    compile: bool | str = False,
    save_every_n_minutes: Positive | None = None,
    save_every_n_steps: Count | None = None,
    on_nonfinite: Literal["stop", "skip"] = "stop",
    **options: Annotated[Any, L.Trainer],
) -> L.Trainer:
    """lightning.Trainer, to which some keys of conf/trainer mean nothing: others read them.

    Args:
        grad_cache_chunk: texts of a training batch that are encoded at once, and again in the backward pass.
        compile: true compiles the encoder with torch.compile, a name says with which backend.
        save_every_n_minutes: how often last.ckpt is written within an epoch; None only at its end.
        save_every_n_steps: the same, in steps.
        on_nonfinite: whether a loss or gradient that is no number ends the run, or that step is skipped.
        options: as `lightning.Trainer`.
    """
    return L.Trainer(**options)


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


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of this project; tensors and plain values only, nothing in it is executed."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"checkpoint {path} does not exist: give the path of a .ckpt file (see DIR/checkpoints of a run)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's thoughts on a strange pickle, which is refused in one line
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {path} cannot be read: expected a checkpoint of this project, found something else or objects "
            "that would run code when they are loaded; nothing of it was"
        ) from error
    except Exception as error:  # a damaged file, something else altogether
        raise InputError(
            f"checkpoint {path} cannot be read: expected a checkpoint of this project ({_first(error)})"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "encoder_assets", "run_config"} <= checkpoint.keys():
        raise InputError(
            f"checkpoint {path} was not written by src.train: expected state_dict, encoder_assets, run_config"
        )
    return checkpoint


def best_checkpoint(run: Path) -> Path:
    """checkpoints/best.ckpt of a run's directory."""
    best = run / "checkpoints" / "best.ckpt"
    if not best.is_file():
        raise InputError(f"run {run} has no checkpoints/best.ckpt: it did not get to its first validation")
    return best


def restore_module(cfg: DictConfig, checkpoint: dict[str, Any], source: str | Path) -> CodeSearchModule:
    """The model of a checkpoint; raises InputError where it and `cfg` are not of one kind."""
    encoder: Encoder = instantiate(cfg.backbone.encoder)
    restore_encoder(encoder, checkpoint, cfg, source)
    module = build_module(cfg, encoder, build_loss(cfg))
    load_weights(module, checkpoint, source)
    return module


def restore_encoder(encoder: Encoder, checkpoint: dict[str, Any], cfg: DictConfig, source: str | Path) -> None:
    """Gives the encoder the checkpoint's assets (tokeniser and the like); its weights come with the module's.

    Raises InputError where the checkpoint holds another backbone than the configuration.
    """
    held = _decisive(checkpoint["run_config"]["backbone"]["encoder"])
    asked = _decisive(OmegaConf.to_container(cfg.backbone.encoder, resolve=True))
    differing = sorted(key for key in {*held, *asked} if held.get(key) != asked.get(key))
    if differing:
        raise InputError(
            f"checkpoint {source} holds another backbone: "
            + ", ".join(f"{k} is {held.get(k)!r} there and {asked.get(k)!r} in the configuration" for k in differing)
            + "; choose the backbone that it was trained with"
        )
    encoder.load_assets(checkpoint["encoder_assets"])


def _decisive(encoder: dict[str, Any]) -> dict[str, Any]:
    """What of an encoder's configuration decides its tensors and embeddings.

    A key that is null might as well not be there: checkpoints stay readable when an encoder learns a new option.
    """
    kept = {
        key: _decisive(value) if isinstance(value, dict) else value
        for key, value in encoder.items()
        if key not in TRAINING_ONLY and value is not None
    }
    if "rank" not in kept.get("lora", {}):
        kept.pop("lora", None)
    return kept


def load_weights(module: CodeSearchModule, checkpoint: dict[str, Any], source: str | Path) -> None:
    """Raises InputError where the checkpoint's tensors are not those of the model that it says it is."""
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        raise InputError(
            f"checkpoint {source} does not fit the model that it describes ({lines[-1].strip()}): "
            "another tokeniser or size; give a checkpoint as src.train wrote it"
        ) from error


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
