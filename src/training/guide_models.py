"""The frozen models behind estimators: trained on first use or given, applied once, both kept in the cache.

They are trained by the main job's own code, from the recipes in conf/experiment, so `python -m src.train
experiment=simcse` trains what `weights=simcse` trains.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf, open_dict
from torch.nn import functional as F

from src.backbones.hub import checkpoint_folder, sentence_pooling
from src.backbones.transformer import TransformerEncoder
from src.config.compose import compose_config
from src.config.targets import CONF
from src.corpora.base import fingerprint
from src.data.length_buckets import Side
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from src.runs.directory import relative
from src.runs.restore import best_checkpoint
from src.runtime.distributed import loader_workers
from src.runtime.launch import alone
from src.training.build import read_module
from src.training.encode import embed_batches, placed
from src.training.fit import fit, prepare
from src.utils.console import print_facts
from src.utils.disk_cache import Cache, code_version, key_of, sha256
from src.utils.errors import InputError, NonFiniteError, nearest
from src.weights.base import Estimator
from src.weights.embedding import EmbeddingEstimator, Embeddings

log = logging.getLogger(__name__)

MODEL, EMBEDDINGS = "model.ckpt", "embeddings.npy"
SENTENCE_ENCODER_SCALE = 20.0  # of a folder's or a hub's model; sentence-transformers' MultipleNegativesRankingLoss
# Of a training's configuration, what its result depends on.
DECISIVE = ("backbone", "model", "optimizer", "data", "trainer", "loss", "batching", "negatives", "keep", "checkpoint")
TRAINING = {
    "batch_size": "data.batch_size",
    "max_epochs": "trainer.max_epochs",
    "learning_rate": "optimizer.learning_rate",
    "dropout": "backbone.encoder.dropout",
}
# What suits the machine, not the model.
MACHINE = (
    *(("trainer", key) for key in ("accelerator", "precision")),
    *(("data", key) for key in ("num_workers", "eval_batch_size", "token_budget")),
)
INCIDENTAL = {"accelerator", "devices", "num_nodes", "strategy", "log_every_n_steps", "compare_infonce", "loss_block"}
INCIDENTAL |= {"num_workers", "eval_batch_size", "token_budget", "grad_cache_chunk", "compile"}
INCIDENTAL |= {"save_every_n_minutes", "save_every_n_steps", "auto_batch"}


def attach(estimator: Estimator | None, cfg: DictConfig) -> None:
    """Gives every part of the estimator that needs a model its teacher, for the corpus and the cache of `cfg`."""
    for part in estimator.parts() if estimator else ():
        if isinstance(part, EmbeddingEstimator):
            part.teacher = FrozenModel(part, cfg)


class FrozenModel:
    """The teacher of one estimator: finds or trains its model, and embeds texts with it."""

    def __init__(self, estimator: EmbeddingEstimator, cfg: DictConfig) -> None:
        self.name = estimator.recipe
        self.checkpoint = estimator.checkpoint
        if cfg.cache is None:
            raise InputError(
                f"weights={self.name} keeps its model and embeddings in the cache: set cache=DIR, found null"
            )
        self.cache = Cache(cfg.cache)
        self.cfg = cfg
        self._recipe = lambda: recipe_config(estimator, cfg)
        self._found: dict[str, Embeddings] = {}

    def embeddings(self, texts: Sequence[str], side: str, cosine: bool) -> Embeddings:
        """From the cache, or made now. Raises NonFiniteError where the model gives numbers that are none."""
        identity, load = self._model
        made_from = {
            "model": identity,
            "text": fingerprint(texts),
            "side": side,
            "normalisation": cosine,
            "version of the code": code_version(),
        }
        if (key := key_of(made_from)) in self._found:
            return self._found[key]
        entry = self.cache.get(
            "embeddings",
            made_from,
            lambda folder: write_embeddings(folder, load(), texts, side, cosine, self.cfg, self.name),
            about=f"{self.name}: {len(texts):,} training texts as {side}",
            waiting=lambda: self._say("waiting for another job that embeds the same texts"),
            making=lambda why: self._say(f"embedding {len(texts):,} training texts as {side} ({why})"),
        )
        if not entry.why:
            self._say(f"embeddings of {len(texts):,} training texts as {side} reused, made {entry.made}")
        self._found[key] = Embeddings(entry.path / EMBEDDINGS, entry.facts["score_scale"])
        return self._found[key]

    @cached_property
    def _model(self) -> tuple[str, Callable[[], CodeSearchModule]]:
        """What tells the model from every other one, and how to load it."""
        if self.checkpoint is None:
            path = self._trained() / MODEL
            return sha256(path), lambda: read_module(path)
        path = Path(self.checkpoint).expanduser()
        if (path / "checkpoints").is_dir():
            path = best_checkpoint(path)
        if path.is_file():
            return sha256(path), lambda: read_module(path)
        with _named("weights.checkpoint"):
            folder = checkpoint_folder(self.checkpoint)
            encoder = TransformerEncoder(folder, pooling=sentence_pooling(folder))
            positions = getattr(encoder.config, "max_position_embeddings", 0) or sys.maxsize
        for side in ("max_query_tokens", "max_code_tokens"):  # RoBERTa needs two of its positions for padding
            setattr(encoder, side, min(getattr(encoder, side), positions - 2))
        return encoder.identity(), lambda: sentence_encoder(encoder)

    def _trained(self) -> Path:
        """The cache's folder of the model trained by the estimator's recipe."""
        cfg = self._recipe()
        corpus = instantiate(cfg.corpus)
        made_from = training_identity(cfg, corpus)
        pairs = len(corpus.split("train"))
        if cfg.data.batch_size > pairs:
            raise InputError(
                f"weights={self.name}: its model trains in batches of {cfg.data.batch_size}, found a training split of "
                f"{pairs} pairs; set weights.training.batch_size={max(2, pairs // 4)}"
            )
        entry = self.cache.get(
            "models",
            made_from,
            lambda folder: train(cfg, corpus, folder),
            about=f"{self.name}: {cfg.choices.backbone} on {cfg.choices.corpus} {cfg.choices.lang}, seed {cfg.seed}",
            waiting=lambda: self._say("waiting for another job that trains the same model"),
            making=lambda why: self._say(
                f"training its model once: {cfg.choices.backbone}, {cfg.trainer.max_epochs} epochs of {pairs:,} pairs "
                f"({why})"
            ),
        )
        origin = "kept in" if entry.why else f"reused, made {entry.made}:"
        self._say(f"model {origin} {relative(entry.path.resolve())}")
        return entry.path

    def _say(self, message: str) -> None:
        log.info("%s: %s", self.name, message)
        print_facts({self.name: message})


def recipe_config(estimator: EmbeddingEstimator, cfg: DictConfig) -> DictConfig:
    """The configuration that trains the estimator's model.

    The defaults; the parts that are taken from the run, backbone and corpus above all; the recipe of conf/experiment on
    top; then the estimator's own overrides.
    """
    shared = set(estimator.shared)
    if estimator.backbone is not None:
        shared.discard("backbone")
    recipe = f"experiment={estimator.recipe}"
    backbone = estimator.backbone or cfg.choices.backbone
    made = compose_config("train", [recipe, f"backbone={backbone}"])
    with open_dict(made):
        for name in sorted(shared):
            made[name] = OmegaConf.to_container(cfg[name], resolve=True)
        made.choices = {**cfg.choices, "loss": "infonce", "weights": "none", "backbone": backbone}
        made.cache, made.seed, made.checkpoint = cfg.cache, estimator.seed, None
        for group, key in MACHINE:
            made[group][key] = cfg[group][key]
        made.trainer.update(devices=1, num_nodes=1, strategy="auto")  # whatever the run that asks has
    own = OmegaConf.load(CONF / "experiment" / f"{estimator.recipe}.yaml")
    own.pop("defaults")
    made.merge_with(own)
    for key, value in estimator.training.items():
        if key not in TRAINING:
            options = ", ".join(TRAINING)
            raise InputError(f"weights.training: expected one of {options}, found {key!r}{nearest(key, TRAINING)}")
        OmegaConf.update(made, TRAINING[key], value)
    return made


def training_identity(cfg: DictConfig, corpus: Any) -> dict[str, Any]:
    """What the result of a training depends on: the key of its model in the cache."""
    encoder = instantiate(cfg.backbone.encoder)
    resolved = OmegaConf.to_container(cfg, resolve=True)
    return {
        "corpus": [
            *(corpus.split(name).fingerprint for name in ("train", "valid")),
            *([corpus.batches] if hasattr(corpus, "batches") else []),  # of several languages
        ],
        "backbone": encoder.identity(),
        "recipe": json.dumps(_decisive({name: resolved[name] for name in DECISIVE}), sort_keys=True),
        "seed": cfg.seed,
        "version of the code": code_version(),
    }


def _decisive(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _decisive(item) for key, item in value.items() if key not in INCIDENTAL}
    return value


def train(cfg: DictConfig, corpus: Any, folder: Path) -> Mapping[str, Any]:
    """Trains and leaves the model in `folder`; the random state of the run that asked is as it was before."""
    with _isolated(), alone():
        fitted = fit(cfg, *prepare(cfg, corpus), folder, keep_last=False)
    fitted.checkpoint.rename(folder / MODEL)
    fitted.checkpoint.parent.rmdir()
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    return {"val_mrr": fitted.val_mrr, "seconds": round(fitted.seconds, 1)}


@contextmanager
def _isolated() -> Iterator[None]:
    """Whether a model had to be trained must not change the run that asked for it."""
    before = {name: os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")}
    try:
        with isolate_rng():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def sentence_encoder(encoder: TransformerEncoder) -> CodeSearchModule:
    """A pretrained sentence encoder as it is, compared by cosine."""
    with _named("weights.checkpoint"):
        encoder.fit(())
    return CodeSearchModule(encoder, InfoNCE(), similarity="cosine", score_scale=SENTENCE_ENCODER_SCALE)


@contextmanager
def _named(key: str) -> Iterator[None]:
    """A backbone's complaints, said of the key that named it here."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("backbone.name", key)) from error


def write_embeddings(
    folder: Path, module: CodeSearchModule, texts: Sequence[str], side: str, cosine: bool, cfg: DictConfig, name: str
) -> Mapping[str, Any]:
    """embeddings.npy of all texts in order, float32; a batch at a time is in memory."""

    def embed(features: Side) -> torch.Tensor:
        embeddings_BD = module.embed(features)
        return F.normalize(embeddings_BD, dim=1) if cosine else embeddings_BD

    cut = placed(module, cfg)
    workers = loader_workers(cfg.data.num_workers, module.device.type)
    mapped_ND = None
    for rows_R, embeddings_RD in embed_batches(
        embed, texts, side, cut, cfg.data.eval_batch_size, num_workers=workers, what=name
    ):
        if mapped_ND is None:
            shape = (len(texts), embeddings_RD.shape[1])
            mapped_ND = np.lib.format.open_memmap(folder / EMBEDDINGS, "w+", np.float32, shape)
        finite_R = embeddings_RD.isfinite().all(dim=1)
        if not finite_R.all():
            bad = int(rows_R[~finite_R][0])
            raise NonFiniteError(
                f"weights={name}: its model gives embeddings that are no numbers, such as for training text {bad} "
                f"({texts[bad][:60]!r}); nothing was cached, take another weights.checkpoint"
            )
        mapped_ND[rows_R.numpy()] = embeddings_RD.numpy()
    mapped_ND.flush()
    return {"score_scale": module.score_scale, "similarity": "cosine" if cosine else module.similarity}
