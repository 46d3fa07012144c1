"""Grouping of runs: those of one table, those of one of its rows, and the hyper-parameters that a row shows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from src.config.arguments import marked
from src.config.schema import Train
from src.config.types import Effect
from src.report.runs import Run, Setting
from src.runs.identity import non_result_keys
from src.utils.errors import InputError

# In addition to the keys that change no result, or its rounding alone: what may differ between the seeds of a cell.
INCIDENTAL = {"seed", "choices", "lang", "checkpoint"}
INCIDENTAL_OF = {
    "corpus": ("root", "roots"),  # fingerprints show whether the pairs are the same
    "negatives": ("mined",),  # each seed may mine with its own model
}


@dataclass
class Recipe:
    """All seeds with the same values of the hyper-parameters in which the runs of a row differ."""

    values: dict[str, Any]  # of those hyper-parameters only; empty where a row has one recipe
    runs: list[Run]
    val_mrr: float = float("nan")  # mean over the deciding seeds, where there was a choice

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    def __str__(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.values.items())


@dataclass
class Cell:
    """A row of a table: all seeds of one loss and estimator in one setting."""

    name: str
    runs: list[Run] = field(default_factory=list)
    tried: list[Recipe] = field(default_factory=list)  # best val/mrr first; empty where there was nothing to choose
    decided_by: list[int] = field(default_factory=list)  # seeds; empty where the recipes have none in common

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    @property
    def budget(self) -> int:
        """How many recipes were tried."""
        return max(1, len(self.tried))

    def reciprocal_ranks(self, queries: Sequence[str]) -> np.ndarray:
        """(seeds, N), of these queries."""
        return np.array([[1 / run.ranks[query] for query in queries] for run in self.runs])


def cells(runs: Iterable[Run], mix_pools: bool = False, choose: str = "valid") -> dict[Setting, list[Cell]]:
    """Runs by setting, then by loss and estimator; InfoNCE first.

    Raises InputError where the runs of a corpus and language ranked different queries or candidates or were trained on
    different pairs, where two runs of a recipe and seed differ in their results, or where val/mrr cannot decide between
    recipes.

    Args:
        mix_pools: gives each pool (and training set) tables of its own instead of an error; tables are not compared.
        choose: the recipe that a row shows where its runs differ in hyper-parameters: valid, the one with the best
            val/mrr; each, every recipe in a row of its own.
    """
    rows: dict[Setting, dict[str, list[Run]]] = {}
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        reference = first.setdefault(run.setting[:2], run)
        same = run.pool == reference.pool and run.ranks.keys() == reference.ranks.keys()
        if not (same and run.training_data == reference.training_data):
            if not mix_pools:
                raise InputError(_mixed(run, reference, same))
            run = replace(run, corpus=f"{run.corpus} ({', '.join(filter(None, (run.pool, run.training_data)))})")
            reference = first.setdefault(run.setting[:2], run)
            if run.ranks.keys() != reference.ranks.keys():
                raise InputError(_mixed(run, reference, same=False, can_mix=False))
        rows.setdefault(run.setting, {}).setdefault(run.name, []).append(run)
    table: dict[Setting, list[Cell]] = {}
    for setting, named in rows.items():
        found = []
        for name, own in named.items():
            tried = recipes(own)
            if len(tried) == 1:
                found.append(Cell(name, tried[0].runs))
            elif choose == "each":
                found += [Cell(f"{name}, {recipe}", recipe.runs) for recipe in tried]
            else:
                found.append(chosen(name, tried))
        table[setting] = sorted(found, key=lambda cell: (cell.name != "infonce", cell.name))
    return table


def _mixed(run: Run, reference: Run, same: bool, can_mix: bool = True) -> str:
    if same:
        what = f"were trained on different pairs ({run.training_data}, {reference.training_data})"
    elif run.pool != reference.pool:
        what = f"ranked different pools ({run.pool}, {reference.pool})"
    else:
        what = f"ranked different queries ({len(run.ranks):,} and {len(reference.ranks):,})"
    or_mix = ", or set mix_pools=true for tables of their own" if can_mix else ""
    give = f"give runs over the same queries, candidates and training pairs{or_mix}"
    return f"{run.path} and {reference.path} {what}: {give}"


def recipes(runs: Sequence[Run]) -> list[Recipe]:
    """The runs of a row by the hyper-parameters in which they differ; the same run found twice counts once.

    An option that only some runs have comes from another version and is ignored, unless they differ in it.
    Raises InputError where two runs of one recipe and seed differ in their results.
    """
    configs = [hyperparameters(run) for run in runs]
    values = {(key, repr(value)) for config in configs for key, value in config.items()}
    differing = sorted(key for key, number in Counter(key for key, _ in values).items() if number > 1)
    by_values: dict[tuple[str, ...], Recipe] = {}
    for run, config in zip(runs, configs):
        own = {key: config.get(key) for key in differing}
        recipe = by_values.setdefault(tuple(map(repr, own.values())), Recipe(own, []))
        for other in recipe.runs:
            same = run.ranks == other.ranks and run.metrics.get("val/mrr") == other.metrics.get("val/mrr")
            if other.seed == run.seed and not same:
                raise InputError(
                    f"{run.path} and {other.path} are both {run.name} with seed {run.seed} and the same "
                    "hyper-parameters, and differ in their results: give one of them"
                )
        if run.seed not in recipe.seeds:
            recipe.runs.append(run)
    return list(by_values.values())


def chosen(name: str, tried: Sequence[Recipe]) -> Cell:
    """The recipe with the best mean val/mrr over the seeds that all recipes share, or over its own if they share none.

    Test ranks are not used. Raises InputError where a run has no val/mrr, or another valid split.
    """
    runs = [run for recipe in tried for run in recipe.runs]
    splits = {run.environment["corpus"].get("valid_fingerprint", ""): run for run in runs}
    if len(splits) > 1:
        one, other, *_ = splits.values()
        raise InputError(
            f"{one.path} and {other.path} are both {name} with other hyper-parameters, and were chosen on different "
            "valid splits, which cannot be compared: give runs of one, or set choose=each"
        )
    for run in runs:
        if "val/mrr" not in run.metrics:
            raise InputError(
                f"{run.path} has no val/mrr in metrics.json, by which the hyper-parameters of {name} are chosen: give "
                "runs of one recipe, or set choose=each"
            )
    shared = set.intersection(*(set(recipe.seeds) for recipe in tried))
    for recipe in tried:
        deciding = [run.metrics["val/mrr"] for run in recipe.runs if not shared or run.seed in shared]
        recipe.val_mrr = float(np.nan_to_num(np.mean(deciding)))  # a diverged run ranks last
    ordered = sorted(tried, key=lambda recipe: (-recipe.val_mrr, str(recipe)))
    return Cell(name, ordered[0].runs, ordered, sorted(shared))


def hyperparameters(run: Run) -> dict[str, Any]:
    """The configuration as dotted keys, without what may differ between seeds."""
    kept = {key: value for key, value in run.config.items() if key not in INCIDENTAL}
    for group, incidental in INCIDENTAL_OF.items():
        kept[group] = {key: value for key, value in (kept.get(group) or {}).items() if key not in incidental}
    if not run.estimator:
        kept.pop("weights", None)  # not used
    return dict(_flat(kept, non_result_keys() | marked(Train, Effect.ROUNDING)))


def _flat(node: Any, ignored: frozenset[str], prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key not in ignored:
                yield from _flat(value, ignored, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
