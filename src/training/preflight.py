"""Checks of a training's configuration that need no data and no model: contradictions, missing files, wrong options."""

import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.backbones.base import Encoder
from src.config.targets import CONF, locate_target
from src.config.types import Count, NotNegative, Positive, Whole, check_value
from src.corpora.base import Corpus
from src.data.mined_negatives import check_mined
from src.data.samplers import Batching
from src.losses.base import Loss
from src.training.build import build_estimator, build_loss, compile_encoder
from src.training.guide_models import attach_guide_models
from src.utils.errors import InputError, nearest
from src.weights.base import Estimator
from src.weights.embedding import EmbeddingEstimator

# lightning.Trainer does not check these, and fails late or trains nothing.
NARROWER: dict[str, Any] = {
    "max_epochs": Count | None,
    "accumulate_grad_batches": Count,
    "check_val_every_n_epoch": Count | None,
    "log_every_n_steps": Count,
    "gradient_clip_val": NotNegative | None,
    "reload_dataloaders_every_n_epochs": Whole,
    "max_steps": Literal[-1] | Count,
    "limit_train_batches": Positive | None,
    "limit_test_batches": Positive | None,
    "val_check_interval": Positive | str | None,
}
# Arguments that the code itself passes to Lightning, and where a user sets them.
SET_ELSEWHERE = {
    "callbacks": "src/training/fit.py",
    "logger": "logger=",
    "default_root_dir": "hydra.run.dir=DIR",
    "enable_model_summary": "src/training/fit.py",
    "enable_progress_bar": "src/training/fit.py, by whether there is a terminal",
    "use_distributed_sampler": "src/datamodule.py",
}
# Lightning's switches that leave no checkpoint to test.
NO_CHECKPOINT = {"fast_dev_run": False, "barebones": False, "enable_checkpointing": True}


def check_training(cfg: DictConfig) -> None:
    """Raises InputError for the first contradiction in the configuration of a training."""
    check_bases(cfg)
    check_trainer(cfg)
    check_paths(cfg)
    loss = build_loss(cfg)
    check_batching(cfg)
    check_estimator(cfg, build_estimator(cfg, loss))
    with torch.device("meta"):  # an encoder without its weights: constructors read nothing
        encoder = instantiate(cfg.backbone.encoder)
    if cfg.checkpoint is None:  # which brings what its encoder needs
        encoder.check()
    compile_encoder(encoder, cfg.trainer.get("compile", False))
    if cfg.data.positives == "query" and encoder.dropout == 0:
        raise InputError(
            "data.positives=query needs dropout, since nothing else tells a query's two embeddings apart; found "
            "backbone.encoder.dropout=0.0: set backbone.encoder.dropout=0.1"
        )
    corpus: Corpus = instantiate(cfg.corpus)
    corpus.check()  # it is where the configuration says, in the language that it names; nothing of it is read


def check_bases(cfg: DictConfig) -> None:
    """The class of each part has the base class of its group, whose defaults all code relies on."""
    for key, base in {"loss": Loss, "weights": Estimator, "batching": Batching, "backbone.encoder": Encoder}.items():
        found = locate_target(OmegaConf.select(cfg, key)["_target_"])
        if not (isinstance(found, type) and issubclass(found, base)):
            raise InputError(
                f"{key}: expected a subclass of {base.__module__}.{base.__name__} (docs/extend.md), found "
                f"{found.__module__}.{found.__qualname__}"
            )


def check_trainer(cfg: DictConfig) -> None:
    """The keys of lightning.Trainer that it does not check itself, or that leave nothing to test."""
    trainer = cfg.trainer
    for key, kind in NARROWER.items():
        if key in trainer:
            check_value(f"trainer.{key}", trainer[key], kind)
    for key, where in SET_ELSEWHERE.items():
        if key in trainer:
            raise InputError(f"trainer.{key} is set by {where}: leave it out")
    for key, needed in NO_CHECKPOINT.items():
        if key in trainer and trainer[key] != needed:
            raise InputError(
                f"trainer.{key}={str(trainer[key]).lower()} leaves no checkpoint to test: leave it out, and take "
                "experiment=smoke for a quick trial"
            )
    if trainer.get("max_epochs") is None and trainer.get("max_steps", -1) == -1 and trainer.get("max_time") is None:
        raise InputError("nothing would end the training: found trainer.max_epochs=null; set a number of 1 or more")
    epochs, every = trainer.get("max_epochs"), trainer.get("check_val_every_n_epoch")
    unseen = epochs is not None and every is not None and every > epochs
    if unseen or trainer.get("limit_val_batches") == 0:
        found = f"check_val_every_n_epoch={every}" if unseen else "limit_val_batches=0"
        raise InputError(
            f"no checkpoint would be chosen, since no validation runs: found trainer.{found}; set "
            f"trainer.check_val_every_n_epoch to at most trainer.max_epochs={epochs}, and limit no validation"
        )
    if trainer.get("auto_batch"):
        check_one_device(trainer)


def check_one_device(trainer: DictConfig) -> None:
    """trainer.auto_batch needs one device; checked before Lightning has counted them."""
    devices, nodes, strategy = trainer.get("devices", 1), trainer.get("num_nodes", 1), trainer.get("strategy", "auto")
    is_one_device = len(devices) == 1 if OmegaConf.is_list(devices) else devices in (1, "1")
    if not is_one_device or nodes != 1 or strategy != "auto":
        name = strategy["_target_"].split(".")[-1] if OmegaConf.is_dict(strategy) else strategy
        raise InputError(
            "trainer.auto_batch=true: expected one device (devices=1, num_nodes=1, strategy=auto), found "
            f"devices={devices}, num_nodes={nodes}, strategy={name}; several would have to agree on a chunk: "
            "set trainer.grad_cache_chunk=N"
        )


def check_paths(cfg: DictConfig) -> None:
    """The files and folders that the configuration names exist, or can be made."""
    if cfg.checkpoint is not None:
        path = Path(cfg.checkpoint)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise InputError(f"checkpoint {path} {what}: give the path of a .ckpt file (see DIR/checkpoints of a run)")
        if not zipfile.is_zipfile(path):  # what torch.save writes
            raise InputError(f"checkpoint {path} is not a checkpoint of this project: give a .ckpt file of src.train")
    if (mined := cfg.negatives.get("mined")) is not None:
        check_mined(mined)
    if cfg.cache is not None:
        folder = Path(cfg.cache).expanduser()
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir():
            raise InputError(f"cache={cfg.cache}: expected a folder or nothing there yet, found a file; choose another")


def check_batching(cfg: DictConfig) -> None:
    """Groups fit into a pool and into a batch."""
    group, pool = cfg.batching.get("group"), cfg.batching.get("pool")
    if group is not None and group > cfg.data.batch_size:
        raise InputError(
            f"batching.group={group}: expected at most the data.batch_size={cfg.data.batch_size} pairs of a batch"
        )
    if group is not None and pool is not None and group > pool:
        raise InputError(f"batching.group={group}: expected at most the items of batching.pool={pool}")


def check_estimator(cfg: DictConfig, estimator: Estimator | None) -> None:
    """An estimator with a guide model has a cache for it, a checkpoint that exists and a known backbone."""
    backbones = sorted(path.stem for path in (CONF / "backbone").glob("*.yaml"))
    attach_guide_models(estimator, cfg)
    for part in estimator.components() if estimator else ():
        if not isinstance(part, EmbeddingEstimator):
            continue
        if part.backbone is not None and part.backbone not in backbones:
            raise InputError(
                f"weights.backbone: expected an option of backbone ({', '.join(backbones)}), found {part.backbone!r}"
                f"{nearest(part.backbone, backbones)}"
            )
        if not part.checkpoint:
            continue
        given = Path(part.checkpoint).expanduser()
        # A path that does not exist, and not a name on the hub.
        is_path = given.is_absolute() or len(given.parts) > 2 or part.checkpoint[-1] == "/"
        if not given.exists() and (is_path or given.suffix == ".ckpt"):
            raise InputError(
                f"weights.checkpoint={part.checkpoint} does not exist: give a run's directory, a checkpoint file, or a "
                "sentence encoder (a folder or a hub name)"
            )
