"""How well estimators detect known false negatives, the weights that the loss then gives, and how far they agree.

S items (training pairs that are looked at), B rows, C columns of a batch, N negatives of several batches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from scipy.stats import rankdata

from src.analysis.estimators.batches import Rows
from src.analysis.estimators.false_negatives import FalseNegatives
from src.data.samplers import Similarity
from src.losses.base import Loss, effective_negatives
from src.metrics.retrieval import bootstrap_mean

HALF = 0.5  # below this weight a negative counts as detected
SHOWN = 5  # examples of the lowest weights, and of the highest
TOP = 5  # most similar negatives in which estimators are compared


@dataclass(frozen=True)
class Example:
    """A negative with its similarity and weight."""

    row: int  # item
    column: int  # item
    similarity: float
    weight: float


@dataclass(frozen=True)
class Ordinary:
    """An estimator and the loss on the batches of a training."""

    numbers: Mapping[str, float]
    weights_N: np.ndarray
    similarities_N: np.ndarray
    lowest: Sequence[Example]  # the negatives with the lowest weights
    highest: Sequence[Example]  # with the highest, the least similar first


Weigh = Callable[[np.ndarray, np.ndarray], np.ndarray]


def weigh_with(loss: Loss) -> Weigh:
    """(similarity_BC, own_BC) -> weights_BC that the loss gives, 1 on the row's own column."""

    @torch.no_grad()
    def weigh(similarity_BC: np.ndarray, own_BC: np.ndarray) -> np.ndarray:
        positive_B = torch.from_numpy(own_BC.argmax(axis=1))
        weights_BC = loss.negative_weights(torch.from_numpy(similarity_BC).float(), positive_B)
        assert weights_BC is not None  # the losses that are inspected weigh negatives
        return weights_BC.numpy()

    return weigh


@dataclass(frozen=True)
class WeighedBatch:
    """A batch with its similarities and the weights that the loss gives."""

    batch: Rows
    similarity_BC: np.ndarray
    weights_BC: np.ndarray

    def examples(self, mask_BC: np.ndarray, number: int, sign: int = 1) -> list[Example]:
        """The first `number` examples of `distinct` among the negatives of the mask."""
        rows, columns = mask_BC.nonzero()
        item, other = self.batch.row_B[rows], self.batch.column_C[columns]
        similarity, weight = self.similarity_BC[mask_BC], self.weights_BC[mask_BC]
        order = np.lexsort((-sign * similarity, sign * weight)).tolist()
        found = (Example(int(item[n]), int(other[n]), float(similarity[n]), float(weight[n])) for n in order)
        return _without_repeats(found, number)


def weighed_batches(batches: Iterable[Rows], similarity: Similarity, weigh: Weigh) -> Iterator[WeighedBatch]:
    """Each batch as an estimator and a loss see it."""
    for batch in batches:
        similarity_BC = similarity(batch.row_B, batch.column_C)
        yield WeighedBatch(batch, similarity_BC, weigh(similarity_BC, batch.own_BC))


def distinct(examples: Iterable[Example], number: int, sign: int = 1) -> list[Example]:
    """The first few in which no item occurs twice: lowest weights first (sign -1: highest).

    Of equal weights the most similar come first (sign -1: the least similar).
    """
    return _without_repeats(sorted(examples, key=lambda e: (sign * e.weight, -sign * e.similarity)), number)


def _without_repeats(examples: Iterable[Example], number: int) -> list[Example]:
    kept: list[Example] = []
    seen: set[int] = set()
    for example in examples:
        if len(kept) == number:
            break
        if seen.isdisjoint((example.row, example.column)):
            kept.append(example)
            seen |= {example.row, example.column}
    return kept


def row_auc(value_BC: np.ndarray, known_BC: np.ndarray, ordinary_BC: np.ndarray) -> np.ndarray:
    """auc_B: chance that a known column has a higher value than an ordinary one, equal values counting half.

    NaN for a row without a known or without an ordinary column; columns that are neither are ignored.
    """
    counted_BC = known_BC | ordinary_BC
    rank_BC = rankdata(np.where(counted_BC, value_BC.astype(np.float64), -np.inf), axis=1)
    known_B, ordinary_B = known_BC.sum(axis=1), ordinary_BC.sum(axis=1)
    below_B = value_BC.shape[1] - known_B - ordinary_B  # columns that are not counted rank lowest
    wins_B = (rank_BC * known_BC).sum(axis=1) - known_B * below_B - known_B * (known_B + 1) / 2
    compared_B = known_B * ordinary_B
    return np.where(compared_B > 0, wins_B / np.maximum(compared_B, 1), np.nan)


def row_precision(value_BC: np.ndarray, known_BC: np.ndarray, ordinary_BC: np.ndarray) -> np.ndarray:
    """precision_B: whether the column of the highest value is a known one; of equal ones, the share that is.

    NaN where `row_auc` is.
    """
    counted_BC = known_BC | ordinary_BC
    masked_BC = np.where(counted_BC, value_BC, -np.inf)
    top_BC = counted_BC & (masked_BC == masked_BC.max(axis=1, keepdims=True))
    share_B = (top_BC & known_BC).sum(axis=1) / np.maximum(top_BC.sum(axis=1), 1)
    return np.where(known_BC.any(axis=1) & ordinary_BC.any(axis=1), share_B, np.nan)


def detection(
    batches: Iterable[Rows], known: FalseNegatives, kind: str, similarity: Similarity, weigh: Weigh
) -> dict[str, float]:
    """How well an estimator detects one kind of known false negatives in planted batches.

    The loss sees the whole batch. The known ones of this kind are compared with the ordinary negatives; those known
    under another kind, copies of the pair and the row's own column are left out.

    Returns:
        `auc`, `auc_low`, `auc_high`: mean over rows with its 95% bootstrap interval over rows; `precision@1`;
        `weight_known`, `weight_ordinary`: mean weight; `recall`: share of the known ones with a weight below one half;
        `false_alarms`: ordinary negatives of a row with a weight below one half.
    """
    found = []
    for weighed in weighed_batches(batches, similarity, weigh):
        batch, similarity_BC, weights_BC = weighed.batch, weighed.similarity_BC, weighed.weights_BC
        known_BC = batch.among(known.kinds[kind])
        ordinary_BC = ~(batch.among(known.any_SS) | batch.own_BC)
        auc_B = row_auc(similarity_BC, known_BC, ordinary_BC)
        precision_B = row_precision(similarity_BC, known_BC, ordinary_BC)
        false_alarms_B = ((weights_BC < HALF) & ordinary_BC).sum(axis=1)
        found.append((auc_B, precision_B, weights_BC[known_BC], weights_BC[ordinary_BC], false_alarms_B))
    auc_R, precision_R, known_N, ordinary_N, false_alarms_R = map(np.concatenate, zip(*found))
    auc_R, precision_R = auc_R[~np.isnan(auc_R)], precision_R[~np.isnan(precision_R)]
    if not len(auc_R):  # a corpus so small that every column is a known one
        return {}
    low, high = bootstrap_mean(auc_R)
    return {
        "auc": float(auc_R.mean()),
        "auc_low": low,
        "auc_high": high,
        "precision@1": float(precision_R.mean()),
        "weight_known": float(known_N.mean()),
        "weight_ordinary": float(ordinary_N.mean()),
        "recall": float((known_N < HALF).mean()),
        "false_alarms": float(false_alarms_R.mean()),
    }


def base_rates(batches: Sequence[Rows], known: FalseNegatives) -> dict[str, float]:
    """`known_per_row`, in total and by kind: mean number of known false negatives of a row in these batches;
    `rows_with_known`: share of the rows that have any."""
    by_kind = {
        kind: np.concatenate([batch.among(matrix_SS).sum(axis=1) for batch in batches])
        for kind, matrix_SS in known.kinds.items()
    }
    all_R = np.sum(list(by_kind.values()), axis=0)
    return {
        "known_per_row": float(all_R.mean()),
        "rows_with_known": float((all_R > 0).mean()),
        **{f"known_per_row/{kind}": float(count_R.mean()) for kind, count_R in by_kind.items()},
    }


def on_batches(batches: Iterable[Rows], similarity: Similarity, weigh: Weigh, floor: float) -> Ordinary:
    """The weights of all negatives of these batches.

    `numbers`: `weight_mean`; `weight_min`; `weight_row_min`, the mean of the rows' lowest; `at_floor`, the share of
    negatives at the loss's floor; `effective`, Kish's effective number of negatives of a row, averaged.
    """
    found = []
    lowest: list[Example] = []
    highest: list[Example] = []
    for weighed in weighed_batches(batches, similarity, weigh):
        own_BC, weights_BC = weighed.batch.own_BC, weighed.weights_BC
        lowest_B = np.where(own_BC, np.inf, weights_BC).min(axis=1)
        effective_B = effective_negatives(torch.from_numpy(weights_BC * ~own_BC)).numpy()
        found.append((weights_BC[~own_BC], weighed.similarity_BC[~own_BC], lowest_B, effective_B))
        lowest += weighed.examples(~own_BC, SHOWN)
        highest += weighed.examples(~own_BC, SHOWN, sign=-1)
    weights_N, similarities_N, lowest_R, effective_R = map(np.concatenate, zip(*found))
    numbers = {
        "weight_mean": float(weights_N.mean()),
        "weight_min": float(weights_N.min()),
        "weight_row_min": float(lowest_R.mean()),
        "at_floor": float((weights_N <= floor).mean()),
        "effective": float(effective_R.mean()),
    }
    lowest, highest = distinct(lowest, SHOWN), distinct(highest, SHOWN, sign=-1)
    return Ordinary(numbers, weights_N, similarities_N, lowest, highest)


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
