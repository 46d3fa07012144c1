"""The guide models behind estimators: frozen, trained on first use or given, applied once; the cache keeps the results.

They are trained by the main job's own code, from the recipes in conf/experiment, so `python -m src.train
experiment=simcse` trains what `weights=simcse` trains.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf, open_dict
from torch.nn import functional as F

from src.backbones.hub import checkpoint_folder, sentence_pooling
from src.backbones.transformer import TransformerEncoder
from src.config.arguments import marked
from src.config.compose import compose_config
from src.config.schema import Train
from src.config.targets import CONF, first_name, with_names
from src.config.types import Effect
from src.corpora.base import fingerprint
from src.data.length_buckets import BatchSide
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from src.runs.directory import relative
from src.runs.identity import without
from src.runs.restore import best_checkpoint
from src.runtime.distributed import loader_workers
from src.runtime.launch import as_single_process
from src.training.build import read_module
from src.training.encode import embed_in_order, prepare_encoder
from src.training.fit import build_model_and_data, fit
from src.utils.console import print_facts
from src.utils.disk_cache import Cache, key_of, sha256
from src.utils.errors import InputError
from src.utils.tables import number_of
from src.weights.base import Estimator
from src.weights.embedding import EmbeddingEstimator, Embeddings, GuideModel

log = logging.getLogger(__name__)

# To be raised with every change of code that trains another model from the same recipe, or that gives a text another
# embedding by the same model: then none is taken from the cache.
MODELS_VERSION = 1
EMBEDDINGS_VERSION = 1
MODEL, EMBEDDINGS = "model.ckpt", "embeddings.npy"
SENTENCE_ENCODER_SCALE = 20.0  # of a folder's or a hub's model; sentence-transformers' MultipleNegativesRankingLoss
# Parts of a training's configuration that its result depends on.
RECIPE = ("backbone", "model", "optimizer", "data", "trainer", "loss", "batching", "negatives", "keep", "checkpoint")
TRAINING = {
    "batch_size": "data.batch_size",
    "max_epochs": "trainer.max_epochs",
    "learning_rate": "optimizer.learning_rate",
    "dropout": "backbone.encoder.dropout",
}
# Keys that suit the machine, not the model.
MACHINE = ("trainer.accelerator", "trainer.precision", "data.num_workers", "data.eval_batch_size", "data.token_budget")


def attach_guide_models(estimator: Estimator | None, cfg: DictConfig) -> None:
    """Gives every part of the estimator that needs a guide model its own, for the corpus and the cache of `cfg`."""
    for part in estimator.components() if estimator else ():
        if isinstance(part, EmbeddingEstimator):
            part.guide = RecipeGuideModel(part, cfg)


class RecipeGuideModel(GuideModel):
    """The guide model of one estimator: found or trained by its recipe, kept in the cache with its embeddings."""

    def __init__(self, estimator: EmbeddingEstimator, cfg: DictConfig) -> None:
        self.estimator, self.cfg = estimator, cfg
        self.name = estimator.recipe
        if cfg.cache is None:
            raise InputError(
                f"weights={self.name} keeps its model and embeddings in the cache: set cache=DIR, found null"
            )
        self.cache = Cache(cfg.cache)
        self._found: dict[str, Embeddings] = {}

    def embeddings(self, texts: Sequence[str], side: str, cosine: bool) -> Embeddings:
        """From the cache, or made now. Raises NonFiniteError where the model gives inf or NaN."""
        identity, load = self._model
        made_from = {
            "model": identity,
            "text": fingerprint(texts),
            "side": side,
            "normalisation": cosine,
            "version": EMBEDDINGS_VERSION,
        }
        if (key := key_of(made_from)) in self._found:
            return self._found[key]
        what = f"{len(texts):,} training texts as {side}"
        entry = self.cache.get(
            "embeddings",
            made_from,
            lambda folder: write_embeddings(folder, load(), texts, side, cosine, self.cfg, self.name),
            about=f"{self.name}: {what}",
            waiting=lambda: self._say("waiting for another job that embeds the same texts"),
            making=lambda why: self._say(f"embedding {what} ({why})"),
        )
        if not entry.why:
            self._say(f"embeddings of {what} reused, made {entry.made}")
        self._found[key] = Embeddings(entry.path / EMBEDDINGS, entry.facts["score_scale"])
        return self._found[key]

    @cached_property
    def _model(self) -> tuple[str, Callable[[], CodeSearchModule]]:
        """What identifies the model, and how to load it."""
        given = self.estimator.checkpoint
        if given is None:
            path = self._trained() / MODEL
            return sha256(path), lambda: read_module(path)
        path = Path(given).expanduser()
        if (path / "checkpoints").is_dir():
            path = best_checkpoint(path)
        if path.is_file():
            return sha256(path), lambda: read_module(path)
        with _errors_name("weights.checkpoint"):
            folder = checkpoint_folder(given)
            encoder = TransformerEncoder(folder, pooling=sentence_pooling(folder))
            positions = getattr(encoder.config, "max_position_embeddings", 0) or sys.maxsize
        for side in ("max_query_tokens", "max_code_tokens"):  # RoBERTa needs two of its positions for padding
            setattr(encoder, side, min(getattr(encoder, side), positions - 2))
        return encoder.identity(), lambda: sentence_encoder(encoder)

    def _trained(self) -> Path:
        """The cache's folder of the model trained by the estimator's recipe."""
        cfg = recipe_config(self.estimator, self.cfg)
        corpus = instantiate(cfg.corpus)
        made_from = training_identity(cfg, corpus)
        pairs = len(corpus.split("train"))
        if cfg.data.batch_size > pairs:
            raise InputError(
                f"weights={self.name}: its model trains in batches of {cfg.data.batch_size}, found a training split of "
                f"{pairs} pairs; set weights.training.batch_size={max(2, pairs // 4)}"
            )
        what = f"{cfg.choices.backbone}, {number_of(cfg.trainer.max_epochs, 'epoch')} of {pairs:,} pairs"
        entry = self.cache.get(
            "models",
            made_from,
            lambda folder: train(cfg, corpus, folder),
            about=f"{self.name}: {cfg.choices.backbone} on {cfg.choices.corpus} {cfg.choices.lang}, seed {cfg.seed}",
            waiting=lambda: self._say("waiting for another job that trains the same model"),
            making=lambda why: self._say(f"training its model once: {what} ({why})"),
        )
        origin = "stored in" if entry.why else f"reused, made {entry.made}:"
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
        for key in MACHINE:
            OmegaConf.update(made, key, OmegaConf.select(cfg, key))
        made.trainer.update(devices=1, num_nodes=1, strategy="auto")  # whatever the run itself has
    own = OmegaConf.load(CONF / "experiment" / f"{estimator.recipe}.yaml")
    assert isinstance(own, DictConfig)
    own.pop("defaults")
    made.merge_with(own)
    for key, value in estimator.training.items():
        OmegaConf.update(made, TRAINING[key], value)
    return made


def training_identity(cfg: DictConfig, corpus: Any) -> dict[str, Any]:
    """Everything that the result of a training depends on: the key of its model in the cache."""
    encoder = instantiate(cfg.backbone.encoder)
    resolved = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    recipe = without({name: resolved[name] for name in RECIPE}, marked(Train, Effect.NONE, Effect.ROUNDING))
    return {
        "corpus": [
            *(corpus.split(name).fingerprint for name in ("train", "valid")),
            *([corpus.batches] if corpus.language == "all" else []),
        ],
        "backbone": encoder.identity(),
        "recipe": json.dumps(with_names(recipe, first_name), sort_keys=True),
        "seed": cfg.seed,
        "version": MODELS_VERSION,
    }


def train(cfg: DictConfig, corpus: Any, folder: Path) -> Mapping[str, Any]:
    """Trains and leaves the model in `folder`; the RNG state of the run that needs it stays as it was."""
    with _isolated(), as_single_process():
        fitted = fit(cfg, *build_model_and_data(cfg, corpus), folder, keep_last=False)
    fitted.checkpoint.rename(folder / MODEL)
    fitted.checkpoint.parent.rmdir()
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8")
    return {"val_mrr": fitted.val_mrr, "seconds": round(fitted.seconds, 1)}


@contextmanager
def _isolated() -> Iterator[None]:
    """Whether a model had to be trained must not change the run that needs it."""
    before = {name: os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")}
    try:
        with isolate_rng():
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def sentence_encoder(encoder: TransformerEncoder) -> CodeSearchModule:
    """A pretrained sentence encoder as it is, compared by cosine."""
    with _errors_name("weights.checkpoint"):
        encoder.fit(())
    return CodeSearchModule(encoder, InfoNCE(), similarity="cosine", score_scale=SENTENCE_ENCODER_SCALE)


@contextmanager
def _errors_name(key: str) -> Iterator[None]:
    """Inside, the backbone's errors name the key that chose it here."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace("backbone.name", key)) from error


def write_embeddings(
    folder: Path, module: CodeSearchModule, texts: Sequence[str], side: str, cosine: bool, cfg: DictConfig, name: str
) -> Mapping[str, Any]:
    """embeddings.npy of all texts in order, float32; a batch at a time is in memory."""

    def embed(features: BatchSide) -> torch.Tensor:
        embeddings_BD = module.embed(features)
        return F.normalize(embeddings_BD, dim=1) if cosine else embeddings_BD

    mapped_ND = embed_in_order(
        embed,
        texts,
        side,
        prepare_encoder(module, cfg),
        cfg.data.eval_batch_size,
        model=f"weights={name}: its model",
        allocate=lambda shape: np.lib.format.open_memmap(folder / EMBEDDINGS, "w+", np.float32, shape),
        num_workers=loader_workers(cfg.data.num_workers, module.device.type),
        progress=name,
    )
    mapped_ND.flush()
    return {"score_scale": module.score_scale, "similarity": "cosine" if cosine else module.similarity}
