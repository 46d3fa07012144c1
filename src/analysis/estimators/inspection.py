"""All measurements of one inspection, in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.analysis.estimators.batches import Rows, planted_batches, training_batches
from src.analysis.estimators.false_negatives import FalseNegatives
from src.analysis.estimators.measure import Ordinary, agreement, base_rates, detection, on_batches, weigh_with
from src.data.samplers import Batching, RandomBatches, Similarity
from src.losses.base import Loss
from src.weights.base import Estimator
from src.weights.none import NoEstimator

FEWEST = 10  # anchors; fewer say nothing about an estimator


@dataclass(frozen=True)
class Inspection:
    """What was measured. A key of `numbers` that is about one estimator ends in its name."""

    estimators: Sequence[str]
    kinds: Sequence[str]  # those that were planted, with FEWEST anchors or more
    numbers: Mapping[str, float]
    ordinary: Mapping[str, Ordinary]  # estimator -> random batches
    known: FalseNegatives

    def about(self, what: str) -> dict[str, float]:
        """The numbers whose keys end in `what`, under the rest of their keys."""
        end = f"/{what}"
        return {key.removesuffix(end): number for key, number in self.numbers.items() if key.endswith(end)}


def inspect(
    cfg: DictConfig,
    estimators: Mapping[str, Estimator],
    item_S: np.ndarray,
    known: FalseNegatives,
    loss: Loss,
    neighbours: DictConfig,
) -> Inspection:
    """Measures fitted estimators on the training pairs `item_S`, with `known` about them in the same order."""
    size = min(cfg.data.batch_size, len(item_S))
    weigh, floor = weigh_with(loss), loss.min_weight
    similarities = {name: _of_items(estimator, item_S) for name, estimator in estimators.items()}
    numbers: dict[str, float] = {"batch_size": size}

    for kind in known.kinds:
        numbers |= {f"pairs/{kind}": known.pairs(kind), f"anchors/{kind}": len(known.anchors(kind))}
    kinds = [kind for kind in known.kinds if numbers[f"anchors/{kind}"] >= FEWEST]
    for kind in kinds:
        batches = planted_batches(known.kinds[kind], size, cfg.most, cfg.seed)
        numbers[f"rows/{kind}"] = sum(len(batch.row_B) for batch in batches)
        for name, similarity in similarities.items():
            numbers |= _suffixed(detection(batches, known, kind, similarity, weigh), f"{kind}/{name}")

    def ordered(batching: Batching, similarity: Similarity) -> list[Rows]:
        return training_batches(batching, similarity, len(item_S), size, cfg.batches, cfg.seed)

    random = ordered(RandomBatches(), NoEstimator().similarity)
    numbers |= _suffixed(base_rates(random, known), "random")
    ordinary = {name: on_batches(random, similarity, weigh, floor) for name, similarity in similarities.items()}
    for name, similarity in similarities.items():
        numbers |= _suffixed(ordinary[name].numbers, f"random/{name}")
        similar = ordered(instantiate(neighbours), similarity)
        numbers |= _suffixed(base_rates(similar, known), f"similar/{name}")
        numbers |= _suffixed(on_batches(similar, similarity, weigh, floor).numbers, f"similar/{name}")
    numbers |= agreement(random, similarities)
    return Inspection(list(estimators), kinds, numbers, ordinary, known)


def _of_items(estimator: Estimator, item_S: np.ndarray) -> Similarity:
    return lambda rows, columns: estimator.similarity(item_S[rows], item_S[columns])


def _suffixed(numbers: Mapping[str, float], about: str) -> dict[str, float]:
    return {f"{key}/{about}": value for key, value in numbers.items()}
