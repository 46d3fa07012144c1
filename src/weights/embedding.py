"""Similarity as a dot product of embeddings under a frozen model: what `simcse` and `trained_model` share.

Shape letters: N training pairs, B rows, C columns, D embedding size.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge

from src.config.types import Count, NotNegative, Share
from src.corpora.base import Pair
from src.utils.matmul import product
from src.weights.base import ALL, Estimator, EstimatorInputs


class Embeddings:
    """float32 embeddings_ND in a file, of which only the rows that are asked for are read.

    Pickles as its path: the workers of a data loader map the same file instead of getting a copy.
    """

    def __init__(self, path: Path, score_scale: float) -> None:
        self.path, self.score_scale = path, score_scale
        self._mapped_ND: np.ndarray | None = None

    def __getitem__(self, items: np.ndarray) -> torch.Tensor:
        """(B, D) of these items."""
        if self._mapped_ND is None:
            self._mapped_ND = np.load(self.path, mmap_mode="r")
        return torch.from_numpy(self._mapped_ND[items])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped_ND": None}


class GuideModel(ABC):
    """The frozen model behind an estimator; src/training/guide_models.py has the one of the entry points."""

    @abstractmethod
    def embeddings(self, texts: Sequence[str], side: str, cosine: bool) -> Embeddings:
        """Of texts as `query` or as `code`, normalised if `cosine` or where the model itself compares by cosine."""


@dataclass
class Training:
    """What the training of an estimator's model departs in from its recipe; None: as the recipe says.

    Args:
        max_epochs: of that training.
        batch_size: of that training.
        learning_rate: of that training.
        dropout: of its encoder.
    """

    max_epochs: Count | None = None
    batch_size: Annotated[int, Ge(2)] | None = None
    learning_rate: NotNegative | None = None
    dropout: Share | None = None


class EmbeddingEstimator(Estimator):
    """scale x (embedding of the row's text) . (embedding of the column's text), both computed once.

    Args:
        checkpoint: a finished run's directory, a checkpoint file of this project, or a sentence encoder (a folder
            written by `save_pretrained`, or a hub name). None: the model is trained on first use, by the recipe of
            conf/experiment/<recipe>.yaml, and kept in the cache.
        scale: multiplies the similarity; it divides the losses' `weight_temperature` for this estimator alone.
        seed: of that training; not the run's, so that all seeds of a sweep share one model.
        backbone: option of conf/backbone for that training; None: the run's own.
        training: what that training departs in from its recipe: `batch_size`, `max_epochs`, `learning_rate`,
            `dropout`; None or left out: as the recipe says.

    `fit` needs a guide model: `src.training.guide_models.attach_guide_models(estimator, cfg)` gives it one.
    """

    recipe: str  # file in conf/experiment
    shared: tuple[str, ...]  # what the training takes from the run's configuration
    sides = ("query", "query")  # texts of rows and of columns
    cosine = True  # whatever the model was trained with

    def __init__(
        self,
        checkpoint: str | None = None,
        scale: float = 1.0,
        seed: int = 1,
        backbone: str | None = None,
        training: Annotated[Mapping[str, float | None] | None, Training] = None,
    ) -> None:
        self.checkpoint, self.scale, self.seed = checkpoint, float(scale), seed
        self.backbone = backbone
        self.training = {key: value for key, value in (training or {}).items() if value is not None}
        self.guide: GuideModel | None = None

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Embeds the training pairs, or finds their embeddings in the cache. Item i of `similarity` is pairs[i]."""
        if self.guide is None:
            raise RuntimeError(
                f"{type(self).__name__} has no model yet: call "
                "src.training.guide_models.attach_guide_models(estimator, cfg) first"
            )
        texts = {side: [getattr(pair, side) for pair in pairs] for side in self.sides}
        made = {side: self.guide.embeddings(texts[side], side, self.cosine) for side in texts}
        self._rows_ND, self._columns_ND = (made[side] for side in self.sides)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "guide": None}  # the loader's workers need the embeddings alone

    def collate(self, rows: np.ndarray, columns: np.ndarray) -> EstimatorInputs:
        """`rows` (B, D) and, where they are others, `columns` (C, D)."""
        inputs = {"rows": self._rows_ND[rows]}
        if self._columns_ND is not self._rows_ND or not np.array_equal(rows, columns):
            inputs["columns"] = self._columns_ND[columns]
        return inputs

    def similarity_on_device(self, inputs: EstimatorInputs, rows: slice = ALL) -> torch.Tensor:
        """These rows of similarity_BC."""
        rows_BD: torch.Tensor = inputs["rows"]
        columns_CD: torch.Tensor = inputs.get("columns", rows_BD)
        with torch.autocast(rows_BD.device.type, enabled=False):
            return product(self.factor * rows_BD[rows], columns_CD)

    @property
    def factor(self) -> float:
        """What multiplies the dot product of two embeddings."""
        return self.scale

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.similarity_on_device(self.collate(rows, columns)).numpy()
