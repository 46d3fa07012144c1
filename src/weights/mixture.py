"""Several estimators at once: `weights=mixture`."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from src.corpora.base import Pair
from src.utils.errors import InputError, nearest
from src.weights.base import ALL, Estimator, EstimatorInputs

OWN = "own"


class MixtureEstimator(Estimator):
    """scale x sum over parts k of share_k z_k, where z_k is part k's similarity, standardised over a row's negatives.

    Estimators speak different units: BM25 scores, cosines, scores of a model. Standardising a row (minus the mean,
    divided by the standard deviation of its negatives; the item's own column is left out of both) says how far a
    negative stands out among the others, which can be added. With scale 1 a negative has to stand out by several
    standard deviations to lose most of its weight.

    Args:
        parts: name -> estimator.
        shares: name -> how much it counts, 0 or more; divided by their sum. A part with share 0 is neither fitted nor
            trained.
        scale: multiplies the similarity.
    """

    def __init__(self, parts: Mapping[str, Estimator], shares: Mapping[str, float], scale: float = 1.0) -> None:
        for name, share in shares.items():
            if name not in parts:
                options = ", ".join(parts)
                raise InputError(f"weights.shares: expected parts ({options}), found {name!r}{nearest(name, parts)}")
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < float("inf"):
                raise InputError(f"weights.shares.{name}: expected a number of 0 or more, found {share!r}")
        total = sum(shares.values())
        if not total:
            raise InputError(f"weights.shares: expected one share above 0, found {dict(shares)}")
        self.shares = {name: share / total for name, share in shares.items() if share}
        self.estimators = {name: parts[name] for name in self.shares}
        self.scale = float(scale)

    def components(self) -> Iterator[Estimator]:
        for estimator in self.estimators.values():
            yield from estimator.components()

    def fit(self, pairs: Sequence[Pair]) -> None:
        for estimator in self.estimators.values():
            estimator.fit(pairs)

    def collate(self, rows: np.ndarray, columns: np.ndarray) -> EstimatorInputs:
        inputs = {name: estimator.collate(rows, columns) for name, estimator in self.estimators.items()}
        return {**inputs, OWN: torch.from_numpy(own_columns(rows, columns))}

    def similarity_on_device(self, inputs: EstimatorInputs, rows: slice = ALL) -> torch.Tensor:
        own_B: torch.Tensor = inputs[OWN][rows]
        first, *others = (
            standardised(self.estimators[name].similarity_on_device(inputs[name], rows), own_B, self.scale * share)
            for name, share in self.shares.items()
        )
        for other in others:
            first += other
        return first

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.similarity_on_device(self.collate(rows, columns)).numpy()


def own_columns(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """own_B: the column that holds the row's own item; -1 where none does."""
    order = np.argsort(columns, kind="stable")
    place = np.searchsorted(columns, rows, sorter=order).clip(max=len(columns) - 1)
    return np.where(columns[order[place]] == rows, order[place], -1)


def standardised(similarity_BC: torch.Tensor, own_B: torch.Tensor, times: float = 1.0) -> torch.Tensor:
    """times (x - mean) / standard deviation, both over the columns of a row that are not its own (-1: all columns).

    0 where all of these are equal (one negative, or none that stands out).
    """
    has_own_B1, column_B1 = own_B[:, None] >= 0, own_B[:, None].clamp_min(0)
    number_B1 = (similarity_BC.shape[1] - has_own_B1.to(similarity_BC.dtype)).clamp_min(1)
    largest_B1 = torch.maximum(similarity_BC.amax(1, keepdim=True), -similarity_BC.amin(1, keepdim=True))
    own_B1 = similarity_BC.gather(1, column_B1)

    # A row's own entry stands at 0 while the others are summed up: many times faster than a mask on a CPU.
    made_BC = similarity_BC.scatter(1, column_B1, own_B1.masked_fill(has_own_B1, 0.0))
    mean_B1 = made_BC.sum(dim=1, keepdim=True) / number_B1
    made_BC.sub_(mean_B1)
    centred_B1 = own_B1 - mean_B1
    made_BC.scatter_(1, column_B1, centred_B1.masked_fill(has_own_B1, 0.0))
    deviation_B1 = (torch.linalg.vecdot(made_BC, made_BC)[:, None] / number_B1).sqrt()
    # Rounding leaves a row of equal numbers with a tiny deviation.
    factor_B1 = (times / deviation_B1).masked_fill(deviation_B1 <= 1e-6 * largest_B1, 0.0)
    return made_BC.scatter_(1, column_B1, centred_B1).mul_(factor_B1)
