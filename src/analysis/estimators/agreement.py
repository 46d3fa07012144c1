"""How far estimators agree about the negatives of the same rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from src.analysis.estimators.batches import Rows
from src.data.samplers import Similarity

TOP = 5


def agreement(batches: Iterable[Rows], similarities: Mapping[str, Similarity]) -> dict[str, float]:
    """Agreement of each pair of estimators.

    Returns:
        `spearman/A/B`: rank correlation of a row's similarities, averaged over rows. A row in which one of the two
        gives all negatives the same similarity has none and is left out, and so is the number where no row has one.
        `top5_overlap/A/B`: share of A's 5 most similar negatives that are among B's; equal ones at the boundary each
        count for an equal share of the remaining places.
    """
    correlations: dict[tuple[str, str], list[np.ndarray]] = {pair: [] for pair in combinations(similarities, 2)}
    overlaps: dict[tuple[str, str], list[np.ndarray]] = {pair: [] for pair in correlations}
    for batch in batches:
        ranks, tops = {}, {}
        for name, similarity in similarities.items():
            others_BN = similarity(batch.row_B, batch.column_C)[~batch.own_BC].reshape(len(batch.row_B), -1)
            ranks[name] = rankdata(others_BN, axis=1)
            tops[name] = top_shares(others_BN, TOP)
        for pair in correlations:
            correlations[pair].append(row_correlation(*(ranks[name] for name in pair)))
            first_BN, second_BN = (tops[name] for name in pair)
            overlaps[pair].append((first_BN * second_BN).sum(axis=1) / first_BN.sum(axis=1))
    numbers = {}
    for (a, b), found in correlations.items():
        rho_R = np.concatenate(found)
        rho_R = rho_R[~np.isnan(rho_R)]
        if len(rho_R):
            numbers[f"spearman/{a}/{b}"] = float(rho_R.mean())
        numbers[f"top{TOP}_overlap/{a}/{b}"] = float(np.concatenate(overlaps[a, b]).mean())
    return numbers


def row_correlation(x_BN: np.ndarray, y_BN: np.ndarray) -> np.ndarray:
    """Pearson correlation of each row, (B,); NaN where one of the two is constant."""
    x_BN, y_BN = (v - v.mean(axis=1, keepdims=True) for v in (x_BN, y_BN))
    norm_B = np.sqrt((x_BN**2).sum(axis=1) * (y_BN**2).sum(axis=1))
    return np.where(norm_B > 0, (x_BN * y_BN).sum(axis=1) / np.where(norm_B > 0, norm_B, 1), np.nan)


def top_shares(value_BN: np.ndarray, k: int) -> np.ndarray:
    """Whether each entry is among its row's k highest, 1 or 0; equal ones at the boundary share the places left."""
    k = min(k, value_BN.shape[1])
    least_B1 = -np.partition(-value_BN, k - 1, axis=1)[:, k - 1 : k]
    above_BN, equal_BN = value_BN > least_B1, value_BN == least_B1
    left_B1 = k - above_BN.sum(axis=1, keepdims=True)
    return above_BN + equal_BN * left_B1 / equal_BN.sum(axis=1, keepdims=True)
