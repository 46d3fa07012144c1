"""Several estimators at once: `weights=mixture`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from src.corpora.base import Pair
from src.errors import InputError, nearest
from src.weights.base import Estimator, Gathered

OWN = "is_own"


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

    def parts(self) -> Iterator[Estimator]:
        for estimator in self.estimators.values():
            yield from estimator.parts()

    def fit(self, pairs: Sequence[Pair]) -> None:
        for estimator in self.estimators.values():
            estimator.fit(pairs)

    def gather(self, rows: np.ndarray, columns: np.ndarray) -> Gathered:
        gathered = {name: estimator.gather(rows, columns) for name, estimator in self.estimators.items()}
        return {**gathered, OWN: torch.from_numpy(rows[:, None] == columns[None, :])}

    def on_device(self, gathered: Gathered) -> torch.Tensor:
        similarity_BC = sum(
            share * standardised(self.estimators[name].on_device(gathered[name]), gathered[OWN])
            for name, share in self.shares.items()
        )
        return self.scale * similarity_BC

    def similarity(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return self.on_device(self.gather(rows, columns)).numpy()


def standardised(similarity_BC: torch.Tensor, is_own_BC: torch.Tensor) -> torch.Tensor:
    """(x - mean) / standard deviation, both over the columns of a row that are not its own.

    0 where all of these are equal (one negative, or none that stands out).
    """
    others_BC = ~is_own_BC
    number_B1 = others_BC.sum(dim=1, keepdim=True).clamp_min(1)
    mean_B1 = (similarity_BC * others_BC).sum(dim=1, keepdim=True) / number_B1
    centred_BC = similarity_BC - mean_B1
    deviation_B1 = ((centred_BC.square() * others_BC).sum(dim=1, keepdim=True) / number_B1).sqrt()
    # Rounding leaves a row of equal numbers with a tiny deviation.
    flat_B1 = deviation_B1 <= 1e-6 * similarity_BC.abs().amax(dim=1, keepdim=True)
    return (centred_BC / deviation_B1.masked_fill(flat_B1, 1.0)).masked_fill(flat_B1, 0.0)
