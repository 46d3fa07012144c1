"""The model of a finished run, ready to embed; without Lightning, so that a search starts at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.nn import functional as F

from src.backbones.base import Encoder
from src.config.targets import from_outside
from src.data.length_buckets import BatchSide, embed_buckets, to_device
from src.runs.labels import needs_similarity
from src.runs.restore import best_checkpoint, load_checkpoint, restore_encoder
from src.utils.errors import InputError

PREFIX = "encoder."  # of the encoder's tensors in a checkpoint
UNREAD = " qqzx"  # a word that changes what any tokenizer makes of a text, if it is read at all


@dataclass
class Model:
    """An encoder and how its embeddings are compared."""

    encoder: Encoder
    similarity: str  # `dot` or `cosine`
    name: str  # what trained it: loss, estimator, backbone
    checkpoint: Path

    @classmethod
    def load(cls, run: str | None, checkpoint: str | None = None) -> Model:
        """Of a finished run's directory, or of a checkpoint file. Raises InputError for everything else."""
        path = checkpoint_of(run, checkpoint)
        held = load_checkpoint(path)
        # What of it is read here: to look at the trainer's part would import Lightning.
        read = {key: held["run_config"][key] for key in ("backbone", "model", "choices") if key in held["run_config"]}
        cfg = from_outside(read, f"checkpoint {path}")
        try:
            encoder: Encoder = instantiate(cfg.backbone.encoder)
        except InstantiationException as error:
            raise (error.__cause__ or error) from None  # what the constructor says
        restore_encoder(encoder, held, cfg, path)
        weights = {name.removeprefix(PREFIX): held["state_dict"][name] for name in _own(held["state_dict"])}
        try:
            encoder.load_state_dict(weights)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(f"checkpoint {path} does not fit the model that it describes ({reason})") from error
        return cls(encoder.eval(), cfg.model.similarity, _name(cfg, held["run_config"].get("loss")), path.resolve())

    @cached_property
    def identity(self) -> str:
        """16 hex digits over the weights and how they are compared: vectors of two models never meet."""
        digest = hashlib.sha256(f"{type(self.encoder).__name__} {self.similarity}".encode())
        for name, tensor in sorted(self.encoder.state_dict().items()):
            digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def embed(self, side: BatchSide) -> torch.Tensor:
        """float32 embeddings_BD of a side of a batch, normalised where they are compared by cosine."""
        device = next(self.encoder.parameters()).device
        embeddings_BD = embed_buckets(to_device(side, device), self.encoder).float()
        return F.normalize(embeddings_BD, dim=1) if self.similarity == "cosine" else embeddings_BD

    def query(self, text: str) -> np.ndarray:
        """float32 (D,) of a query."""
        return self.embed(self.encoder.queries([text]))[0].cpu().numpy()

    def words_read(self, query: str) -> int:
        """How many of a query's words, parted by blanks, reach the model: longer texts are cut.

        Found by asking: after which word is one more no longer seen?
        """
        words = query.split()
        low, high = 0, len(words)
        while low < high:
            middle = (low + high) // 2
            if self._is_full(" ".join(words[:middle])):
                high = middle
            else:
                low = middle + 1
        return low

    def _is_full(self, text: str) -> bool:
        return _same(*(self.encoder.tokenise([one], "query") for one in (text, text + UNREAD)))

    @property
    def about(self) -> dict[str, Any]:
        """What an index remembers of it."""
        return {"identity": self.identity, "name": self.name, "checkpoint": str(self.checkpoint)}


def checkpoint_of(run: str | None, checkpoint: str | None = None) -> Path:
    """checkpoint=FILE, else the best checkpoint of run=DIR; raises InputError where that run did not finish."""
    if checkpoint is not None:
        return Path(checkpoint).expanduser()
    if run is None:
        raise InputError("no model: expected run=DIR (a finished run's directory) or checkpoint=FILE")
    folder = Path(run).expanduser()
    if not folder.is_dir():
        raise InputError(f"run directory {run} does not exist: give the directory that src.train printed at its end")
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, KeyError, TypeError):
        status = "without a status.json"
    if status != "finished":
        raise InputError(
            f"run {run} did not finish ({status}): give a finished run, or one of its checkpoints in checkpoint=FILE"
        )
    return best_checkpoint(folder)


def _own(state: dict[str, Any]) -> Sequence[str]:
    return [name for name in state if name.startswith(PREFIX)]


def _name(cfg: DictConfig, loss: Any) -> str:
    choices = cfg.get("choices") or {}
    weights = choices.get("weights", "none") if needs_similarity(loss) else "none"
    parts = [choices.get("loss", "a model"), weights, f"on {choices.get('backbone', '')}"]
    return " ".join(part for part in parts if part not in ("none", "on "))


def _same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one.values(name), other.values(name)) for name in one.columns)
