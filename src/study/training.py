"""Models and estimators that train in seconds, for the notebooks, with the project's own configuration and training.

B queries, N items (training pairs), C candidates.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, open_dict

from src.config.compose import compose_config
from src.corpora.base import Corpus, Pair
from src.losses.kl_regularized import KLRegularized
from src.module import CodeSearchModule
from src.runtime.quiet import quiet_libraries
from src.training.build import build_estimator, build_loss
from src.training.fit import build_model_and_data, fit
from src.training.guide_models import attach_guide_models
from src.training.setup import GROUPS
from src.weights.base import Estimator

SMALL = ("backbone.encoder.embedding_size=256", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=2")


def configuration(*overrides: str) -> DictConfig:
    """The configuration of `python -m src.train <overrides>` for a small model; the overrides take precedence."""
    cfg = compose_config("train", [*SMALL, *overrides], with_hydra=True)
    with open_dict(cfg):
        cfg.choices = {group: cfg.hydra.runtime.choices[group] for group in GROUPS}
        del cfg["hydra"]
    return cfg


def fitted_estimator(cfg: DictConfig, pairs: Sequence[Pair]) -> Estimator:
    """The configured estimator, fitted; a model that it needs is trained now, or taken from the cache."""
    estimator: Estimator = instantiate(cfg.weights)
    with quiet():
        attach_guide_models(estimator, cfg)
        estimator.fit(pairs)
    return estimator


class Shuffled(Estimator):
    """Another estimator's similarities with the items permuted: as much weighting, no information."""

    def __init__(self, estimator: Estimator, seed: int = 0) -> None:
        self.estimator, self.seed = estimator, seed

    def fit(self, pairs: Sequence[Pair]) -> None:
        self.estimator.fit(pairs)
        self._other_N = np.random.default_rng(self.seed).permutation(len(pairs))

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.estimator.similarity(self._other_N[rows], self._other_N[columns])


@dataclass(frozen=True)
class Trained:
    """A model at the end of a training, and the geometry of its embeddings on valid."""

    module: CodeSearchModule
    numbers: dict[str, float]  # val/mrr, val/alignment, val/uniformity of the last epoch


def trained(cfg: DictConfig, corpus: Corpus, shuffle: bool = False) -> Trained:
    """Trains on the corpus, quietly; `shuffle` permutes the items of the estimator."""
    estimator = build_estimator(cfg, build_loss(cfg))
    if shuffle and estimator is not None:
        estimator = Shuffled(estimator)
    with quiet(), tempfile.TemporaryDirectory() as folder:
        attach_guide_models(estimator, cfg)
        module, data = build_model_and_data(cfg, corpus, estimator)
        metrics = fit(cfg, module, data, Path(folder), keep_last=False).trainer.callback_metrics
    return Trained(
        module.eval(), {name: float(metrics[name]) for name in ("val/mrr", "val/alignment", "val/uniformity")}
    )


def scores(module: CodeSearchModule, pairs: Sequence[Pair]) -> torch.Tensor:
    """scores_BC of each pair's query and every pair's code."""
    with torch.inference_mode():
        queries_BD = module.embed(module.encoder.queries([pair.query for pair in pairs]))
        codes_BD = module.embed(module.encoder.codes([pair.code for pair in pairs]))
        return module.score(queries_BD, codes_BD)


def divergence(scores_BC: torch.Tensor, similarity_BC: torch.Tensor, weight_temperature: float = 1.0) -> torch.Tensor:
    """KL(estimated || predicted) of each row, in nats, (B,): both over its negatives; row i's own column is i.

    Estimated: softmax of similarity / t; predicted: softmax of the scores.
    """
    return KLRegularized(1.0, 0.0, weight_temperature)(scores_BC, torch.arange(len(scores_BC)), similarity_BC)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses all output, which would fill a notebook with epochs and folders."""
    quiet_libraries()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if "IPython" in sys.modules:  # where rich displays instead of printing
            from IPython.utils.capture import capture_output

            stack.enter_context(capture_output())
        yield
