"""The comparison of every row of every setting with the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from src.report.cells import Cell
from src.report.runs import Run, Setting
from src.report.significance import LEVEL, bootstrap_means, holm, query_weights, randomisation_test
from src.utils.errors import InputError, nearest


@dataclass
class Difference:
    """A row minus the baseline, over the seeds that both have."""

    paired_N: np.ndarray = field(repr=False)  # reciprocal ranks, averaged over those seeds
    per_seed: dict[int, float]
    mean: float
    low: float  # 95%, bootstrap over queries
    high: float
    p: float  # approximate randomisation over queries
    holm: float = 1.0  # p, corrected for all comparisons of a report

    @property
    def verdict(self) -> str:
        if self.holm >= LEVEL:
            return "undecided"
        return "better" if self.mean > 0 else "worse"

    @property
    def seeds_better(self) -> int:
        return sum(value > 0 for value in self.per_seed.values())


@dataclass
class Row:
    """One cell: MRR is the mean over seeds."""

    cell: Cell
    values_N: np.ndarray = field(repr=False)  # reciprocal ranks, averaged over all seeds
    per_seed: np.ndarray
    mrr: float
    low: float  # 95%, bootstrap over queries of the mean over seeds
    high: float
    difference: Difference | None = None  # None for the baseline, and without a seed in common with it


@dataclass
class Comparison:
    """One setting: runs with the same queries, candidates, training pairs and backbone."""

    setting: Setting
    queries: Sequence[str]
    rows: list[Row]
    baseline: str

    @property
    def title(self) -> str:
        return " / ".join(self.setting)

    @property
    def run(self) -> Run:
        """Any of its runs, for what all have in common."""
        return self.rows[0].cell.runs[0]

    @property
    def compared(self) -> list[tuple[Row, Difference]]:
        return [(row, row.difference) for row in self.rows if row.difference is not None]


def compare(found: Mapping[Setting, Sequence[Cell]], baseline: str) -> list[Comparison]:
    """Every setting compared with its own row of the baseline; Holm's correction is over all of them together.

    Raises InputError where no row is the baseline, unless that is InfoNCE, which may be missing.
    """
    names = {cell.name for row_cells in found.values() for cell in row_cells}
    if baseline not in names | {"infonce"}:
        known, hint = ", ".join(sorted(names)), nearest(baseline, names)
        raise InputError(f"baseline: expected one of the rows ({known}), found {baseline!r}{hint}")
    comparisons = [compare_setting(setting, row_cells, baseline) for setting, row_cells in found.items()]
    differences = [difference for comparison in comparisons for _, difference in comparison.compared]
    for difference, adjusted in zip(differences, holm([difference.p for difference in differences])):
        difference.holm = adjusted
    return comparisons


def compare_setting(setting: Setting, row_cells: Sequence[Cell], baseline: str) -> Comparison:
    """One setting, without the correction for the other comparisons."""
    queries = list(row_cells[0].runs[0].ranks)
    strata = languages(queries) if setting[1] == "all" else [np.arange(len(queries))]
    weight_N = query_weights(strata, len(queries))
    values = {cell.name: dict(zip(cell.seeds, cell.reciprocal_ranks(queries))) for cell in row_cells}
    mean_NC = np.stack([np.mean(list(values[cell.name].values()), axis=0) for cell in row_cells], axis=1)
    rows = []
    for cell, mean_N, (low, high) in zip(row_cells, mean_NC.T, bootstrap_means(mean_NC, strata).T):
        per_seed = np.array([weight_N @ value_N for value_N in values[cell.name].values()])
        rows.append(Row(cell, mean_N, per_seed, float(weight_N @ mean_N), float(low), float(high)))

    base = values.get(baseline, {})
    pairs = [
        (row, seeds)
        for row in rows
        if row.cell.name != baseline and (seeds := sorted(base.keys() & values[row.cell.name].keys()))
    ]
    if pairs:
        of_seeds = [np.array([values[row.cell.name][s] - base[s] for s in seeds]) for row, seeds in pairs]
        paired_NC = np.stack([difference_SN.mean(axis=0) for difference_SN in of_seeds], axis=1)
        intervals, p_C = bootstrap_means(paired_NC, strata).T, randomisation_test(paired_NC, strata)
        for i, (row, seeds) in enumerate(pairs):
            mean, (low, high) = float(weight_N @ paired_NC[:, i]), map(float, intervals[i])
            means = {s: float(weight_N @ own) for s, own in zip(seeds, of_seeds[i])}
            row.difference = Difference(paired_NC[:, i], means, mean, low, high, float(p_C[i]))
    return Comparison(setting, queries, rows, baseline)


def languages(queries: Sequence[str]) -> list[np.ndarray]:
    """Positions of each language's queries, whose ids begin with it (lang=all)."""
    language_N = np.array([query.partition(":")[0] for query in queries])
    return [np.flatnonzero(language_N == language) for language in dict.fromkeys(language_N)]
