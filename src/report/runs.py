"""Finished runs on disk, and the cells of a comparison that they form."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from src.errors import InputError
from src.rundir import read_ranks, run_name
from src.sweeps.cells import SET_ASIDE

Setting = tuple[str, str, str]  # corpus, lang, backbone: what is held fixed in a comparison
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a tenth of the time, where libyaml is there
# Of a configuration, what may differ between the seeds of a cell.
INCIDENTAL = ("seed", "sweep", "cache", "logger", "compare_infonce", "choices", "lang", "checkpoint")
INCIDENTAL_OF = {
    "trainer": ("accelerator", "devices", "strategy", "num_nodes", "log_every_n_steps"),
    "data": ("num_workers", "eval_batch_size"),
    "corpus": ("root", "roots"),  # the fingerprints say whether it is the same
    "negatives": ("mined",),  # each seed's, by its own model
}


@dataclass(frozen=True)
class Run:
    """One finished run."""

    path: Path
    choices: dict[str, str]
    seed: int
    corpus: str  # the corpus, or the name of the folder that it was read from
    pool: str  # fingerprint of the candidate pool
    ranks: dict[str, float]
    metrics: dict[str, float]
    masked: bool = False  # whether copies of a positive were no negatives
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def setting(self) -> Setting:
        return self.corpus, self.choices["lang"], self.choices["backbone"]

    @property
    def name(self) -> str:
        """The loss, with what else sets the runs of a table apart."""
        negatives = self.config.get("negatives") or {}
        mined = f", {negatives.get('mined_per_query')} mined" if negatives.get("mined") else ""
        return run_name(self.choices) + (", copies masked" if self.masked else "") + mined

    @property
    def training_data(self) -> str:
        """Fingerprint of the training pairs; empty where the run did not note it."""
        return self.environment["corpus"].get("train_fingerprint", "")

    @cached_property
    def history(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Metric -> (epoch, step, value) of each time it was logged, from metrics.csv; empty without one."""
        logged = defaultdict(list)
        try:
            with (self.path / "metrics.csv").open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    when = int(row["epoch"]), int(row["step"])
                    for name, value in row.items():
                        if value and name not in ("epoch", "step"):
                            logged[name].append((*when, float(value)))
        except FileNotFoundError:
            return {}
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{self.path / 'metrics.csv'} is damaged ({error}): remove it, or the run") from error
        return {name: tuple(np.array(rows).T) for name, rows in logged.items()}


@dataclass(frozen=True)
class LeftOut:
    """A training that did not finish."""

    path: Path
    why: str


@dataclass
class Cell:
    """All seeds of one loss and estimator in one setting."""

    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def seeds(self) -> list[int]:
        return [run.seed for run in self.runs]

    def reciprocal_ranks(self, queries: Sequence[str]) -> np.ndarray:
        """(seeds, N), of these queries."""
        return np.array([[1 / run.ranks[query] for query in queries] for run in self.runs])


def find_runs(paths: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """Every finished run at or below the paths, and every one that is not finished.

    Evaluations, other jobs and a sweep's earlier attempts are passed over; one below two of the paths counts once.
    """
    runs, left_out, met = [], [], set()
    for path in paths:
        if not path.is_dir():
            raise InputError(f"{path} is no directory: give run directories, or a folder that holds some (outputs)")
        for file in sorted(path.rglob("status.json")):
            folder = file.parent
            if folder.resolve() in met:
                continue
            met.add(folder.resolve())
            try:
                status = json.loads(file.read_text())
                how = status["status"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{file} is damaged ({error}): remove it, or the run") from error
            if how == "finished" and (folder / "checkpoints").is_dir():
                runs.append(read_run(folder))
            elif how not in ("finished", SET_ASIDE) and _is_training(folder):
                error = f": {status['error']}" if status.get("error") else ""
                shown = folder.relative_to(path) if folder != path else Path(folder.name)
                left_out.append(LeftOut(shown, f"{how}{error}"))
    return runs, left_out


def _is_training(folder: Path) -> bool:
    """Whether a job that did not finish was one; without a configuration it got too short a way to tell."""
    try:
        cfg = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), Loader)
    except (OSError, yaml.YAMLError):
        return True
    return isinstance(cfg, dict) and "loss" in cfg.get("choices", cfg)


def read_run(folder: Path) -> Run:
    """One run directory; raises InputError where a file of it is missing or damaged."""
    try:
        cfg = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), Loader)
        environment = json.loads((folder / "environment.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        ranks = read_ranks(folder / "test_ranks.csv")
        pool = environment["corpus"]["test_pool_fingerprint"]
        root = cfg["corpus"].get("root")
        corpus = Path(root).name if root else cfg["choices"]["corpus"]
        masked = cfg.get("negatives", {}).get("mask_duplicates", False)
        if not ranks or min(ranks.values()) < 1:
            raise ValueError("test_ranks.csv holds no ranks, or some below 1")
        return Run(folder, cfg["choices"], cfg["seed"], corpus, pool, ranks, metrics, masked, cfg, environment)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        raise InputError(f"{folder} is not a whole run directory ({type(error).__name__}: {reason})") from error


def cells(runs: Iterable[Run], mix_pools: bool = False) -> dict[Setting, list[Cell]]:
    """Runs by setting, then by loss and estimator; InfoNCE first.

    Raises InputError where the runs of a corpus and language ranked different queries or candidates or were trained on
    different pairs, where one cell holds two runs of a seed, or runs that differ in more than the seed: their numbers
    must not share a table.

    Args:
        mix_pools: gives each pool (and training set) tables of its own instead of refusing; nothing is compared across.
    """
    runs = list(runs)
    table: dict[Setting, dict[str, Cell]] = {}
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
        cell = table.setdefault(run.setting, {}).setdefault(run.name, Cell(run.name))
        for other in cell.runs:
            if other.seed == run.seed:
                raise InputError(
                    f"{run.path} and {other.path} are both {run.name} with seed {run.seed}: give one of them, or the "
                    "folder of one sweep"
                )
        if cell.runs and (key := _differing(recipe(run), recipe(cell.runs[0]))):
            raise InputError(
                f"{run.path} and {cell.runs[0].path} are both {run.name} but differ in {key}, not only in the seed: "
                "give runs of one recipe"
            )
        cell.runs.append(run)
    return {
        setting: sorted(found.values(), key=lambda cell: (cell.name != "infonce", cell.name))
        for setting, found in table.items()
    }


def _mixed(run: Run, reference: Run, same: bool, can_mix: bool = True) -> str:
    if same:
        what = f"were trained on different pairs ({run.training_data}, {reference.training_data})"
    elif run.pool != reference.pool:
        what = f"ranked different pools ({run.pool}, {reference.pool})"
    else:
        what = f"ranked different queries ({len(run.ranks):,} and {len(reference.ranks):,})"
    or_mix = ", or add --mix-pools for tables of their own" if can_mix else ""
    give = f"give runs over the same queries, candidates and training pairs{or_mix}"
    return f"{run.path} and {reference.path} {what}: {give}"


def recipe(run: Run) -> dict[str, Any]:
    """The configuration as dotted keys, without what may differ between seeds."""
    kept = {key: value for key, value in run.config.items() if key not in INCIDENTAL}
    for group, incidental in INCIDENTAL_OF.items():
        kept[group] = {key: value for key, value in (kept.get(group) or {}).items() if key not in incidental}
    if run.choices["loss"] == "infonce" and run.choices.get("batching", "random") == "random":
        kept.pop("weights", None)  # chosen, not used
    return dict(_flat(kept))


def _flat(node: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node


def _differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The first key whose values differ; one that only one of them has is an option of another version."""
    return next((key for key in mine if key in theirs and mine[key] != theirs[key]), "")
