"""A model out of a checkpoint: read without executing anything, and checked against what it is meant for.

No Lightning here: what only asks a model starts in a third of the time.
"""

import pickle
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from src.backbones.base import Encoder
from src.config.arguments import marked
from src.config.checks import check_part
from src.config.targets import locate_target, with_names
from src.config.types import Effect
from src.runs.checkpoint_file import DamagedError, check
from src.runs.identity import recorded
from src.utils.errors import InputError, first_line


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of this project; tensors and plain values only, nothing in it is executed."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"checkpoint {path} does not exist: give the path of a .ckpt file (see DIR/checkpoints of a run)"
        )
    try:
        check(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's thoughts on a strange pickle, which is refused in one line
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedError as error:
        raise InputError(
            f"checkpoint {path} is damaged: {error}; give another, such as "
            f"{path.stem}.previous{path.suffix} in the same folder"
        ) from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"checkpoint {path} cannot be read: expected a checkpoint of this project, found something else or objects "
            "that would run code when they are loaded; nothing of it was"
        ) from error
    except Exception as error:  # a damaged file, something else altogether
        raise InputError(
            f"checkpoint {path} cannot be read: expected a checkpoint of this project ({first_line(error)})"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "encoder_assets", "run_config"} <= checkpoint.keys():
        raise InputError(
            f"checkpoint {path} was not written by src.train: expected state_dict, encoder_assets, run_config"
        )
    checkpoint["run_config"] = with_names(checkpoint["run_config"])
    return checkpoint


def find_checkpoint(run: str | None, checkpoint: str | None = None, finished: bool = False) -> Path:
    """checkpoint=FILE, else the best checkpoint of run=DIR, which must have finished where `finished`.

    Raises InputError where neither is given, or the run has none.
    """
    if checkpoint is not None:
        return Path(checkpoint).expanduser()
    if run is None:
        raise InputError("no model: expected run=DIR (a finished run's directory) or checkpoint=FILE")
    folder = Path(run).expanduser()
    if not folder.is_dir():
        raise InputError(f"run directory {run} does not exist: give the directory that src.train printed at its end")
    status = recorded(folder).get("status", "no readable status.json")
    if finished and status != "finished":
        raise InputError(
            f"run {run} did not finish ({status}): give a finished run, or one of its checkpoints in checkpoint=FILE"
        )
    return best_checkpoint(folder)


def best_checkpoint(run: Path) -> Path:
    """checkpoints/best.ckpt of a run's directory."""
    best = run / "checkpoints" / "best.ckpt"
    if not best.is_file():
        raise InputError(f"run {run} has no checkpoints/best.ckpt: it did not get to its first validation")
    return best


def restore_encoder(encoder: Encoder, checkpoint: dict[str, Any], cfg: DictConfig, source: str | Path) -> None:
    """Gives the encoder the checkpoint's assets (tokeniser and the like); its weights come with the module's.

    Raises InputError where the checkpoint holds another backbone than the configuration.
    """
    held = _weights_config(checkpoint["run_config"]["backbone"]["encoder"])
    asked = _weights_config(cast(dict[str, Any], OmegaConf.to_container(cfg.backbone.encoder, resolve=True)))
    differing = sorted(key for key in {*held, *asked} if held.get(key) != asked.get(key))
    if differing:
        raise InputError(
            f"checkpoint {source} holds another backbone: "
            + ", ".join(f"{k} is {held.get(k)!r} there and {asked.get(k)!r} in the configuration" for k in differing)
            + "; choose the backbone that it was trained with"
        )
    encoder.load_assets(checkpoint["encoder_assets"])


def _weights_config(encoder: dict[str, Any], ignored: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What of an encoder's configuration decides its tensors and embeddings.

    A key that is null might as well not be there: checkpoints stay readable when an encoder learns a new option.
    """
    if "_target_" in encoder:
        ignored = marked(locate_target(encoder["_target_"]), Effect.TRAINING)
    kept = {
        key: _weights_config(value, ignored) if isinstance(value, dict) else value
        for key, value in encoder.items()
        if key not in ignored and value is not None
    }
    if "rank" not in kept.get("lora", {}):
        kept.pop("lora", None)
    return kept


def with_data_of(cfg: DictConfig, trained: DictConfig) -> DictConfig:
    """The run's configuration, with the corpus, language, cache and accelerator that the command line names."""
    merged = trained.copy()
    with open_dict(merged):
        merged.trainer.update(devices=1, num_nodes=1, strategy="auto")  # however many trained it
        if cfg.accelerator is not None:
            merged.trainer.accelerator = cfg.accelerator
        if cfg.get("lang"):
            merged.lang, merged.choices.lang = cfg.lang, cfg.lang.name
            merged.corpus.language = cfg.lang.name
        if cfg.cache is not None:
            merged.cache = cfg.cache
            if "cache" in merged.corpus:
                merged.corpus.cache = cfg.cache
        if cfg.get("corpus"):
            corpus = OmegaConf.to_container(cfg.corpus, resolve=False)
            chosen = OmegaConf.create({"lang": merged.lang, "cache": merged.cache, "corpus": corpus})
            OmegaConf.resolve(chosen)
            check_part("corpus", chosen.corpus)
            merged.corpus = chosen.corpus
            merged.choices.corpus = HydraConfig.get().runtime.choices["corpus"]
    return merged
