"""The model of a finished run, ready to embed; without Lightning, so that a search starts fast."""

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.backbones.base import Encoder
from src.config.targets import from_outside
from src.data.length_buckets import BatchSide, embed_side, to_device
from src.runs.identity import needs_similarity
from src.runs.restore import find_checkpoint, load_checkpoint, restore_encoder
from src.utils.errors import InputError

PREFIX = "encoder."  # of the encoder's tensors in a checkpoint


@dataclass
class Model:
    """An encoder and the similarity of its embeddings."""

    encoder: Encoder
    similarity: str  # `dot` or `cosine`
    name: str  # loss, estimator and backbone of its training
    checkpoint: Path

    @classmethod
    def load(cls, run: str | None, checkpoint: str | None = None) -> "Model":
        """From a finished run's directory or a checkpoint file. Raises InputError for anything else."""
        path = find_checkpoint(run, checkpoint, finished=True)
        held = load_checkpoint(path)
        # Only these parts: checking the trainer's would import Lightning.
        parts = {key: held["run_config"][key] for key in ("backbone", "model", "choices") if key in held["run_config"]}
        cfg = from_outside(parts, f"checkpoint {path}")
        try:
            encoder: Encoder = instantiate(cfg.backbone.encoder)
        except InstantiationException as error:
            raise (error.__cause__ or error) from None  # the constructor's own error
        restore_encoder(encoder, held, cfg, path)
        state = held["state_dict"].items()
        weights = {name.removeprefix(PREFIX): tensor for name, tensor in state if name.startswith(PREFIX)}
        try:
            encoder.load_state_dict(weights)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise InputError(f"checkpoint {path} does not fit the model that it describes ({reason})") from error
        return cls(encoder.eval(), cfg.model.similarity, _name(cfg, held["run_config"].get("loss")), path.resolve())

    @cached_property
    def identity(self) -> str:
        """16 hex digits over weights and similarity, by which an index recognises its model."""
        digest = hashlib.sha256(f"{type(self.encoder).__name__} {self.similarity}".encode())
        for name, tensor in sorted(self.encoder.state_dict().items()):
            digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    @torch.inference_mode()
    def embed(self, side: BatchSide) -> torch.Tensor:
        """float32 embeddings_BD of a side of a batch, on the encoder's device, that a dot product scores."""
        device = next(self.encoder.parameters()).device
        return embed_side(to_device(side, device), self.encoder, self.similarity)

    def query(self, text: str) -> np.ndarray:
        """The float32 embedding (D,) of a query."""
        return self.embed(self.encoder.queries([text]))[0].cpu().numpy()

    def words_read(self, query: str) -> int:
        """How many of a query's words, separated by blanks, the model reads before it truncates the text.

        From that number of words on, a further word no longer changes the tokens.
        """
        words = query.split()

        def is_full(number: int) -> bool:
            text = " ".join(words[:number])
            one, other = (self.encoder.tokenise([query], "query") for query in (text, f"{text} qqzx"))
            return all(np.array_equal(one.values(name), other.values(name)) for name in one.columns)

        return bisect_left(range(len(words)), True, key=is_full)


def _name(cfg: DictConfig, loss: Any) -> str:
    choices = cfg.get("choices") or {}
    weights = choices.get("weights", "none") if needs_similarity(loss) else "none"
    parts = [choices.get("loss", "a model"), weights, f"on {choices.get('backbone', '')}"]
    return " ".join(part for part in parts if part not in ("none", "on "))
