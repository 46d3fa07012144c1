"""Finished runs on disk, and the cells of a comparison that they form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from src.errors import InputError
from src.rundir import read_ranks, run_name

Setting = tuple[str, str, str]  # corpus, lang, backbone: what is held fixed in a comparison


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

    @property
    def setting(self) -> Setting:
        return self.corpus, self.choices["lang"], self.choices["backbone"]

    @property
    def name(self) -> str:
        """The loss, with what else sets the runs of a table apart."""
        return run_name(self.choices) + (", copies masked" if self.masked else "")


@dataclass
class Cell:
    """All seeds of one loss and estimator in one setting."""

    name: str
    runs: list[Run] = field(default_factory=list)

    @property
    def reciprocal_ranks(self) -> np.ndarray:
        """(seeds, N), queries in the order of the first run."""
        queries = list(self.runs[0].ranks)
        return np.array([[1 / run.ranks[query] for query in queries] for run in self.runs])


def find_runs(paths: Iterable[Path]) -> Iterator[Run]:
    """Every finished run at or below the paths; unfinished ones and evaluations are passed over."""
    for path in paths:
        if not path.is_dir():
            raise InputError(f"{path} is no directory: give run directories, or a folder that holds some (outputs)")
        for status in sorted(path.rglob("status.json")):
            folder = status.parent
            if json.loads(status.read_text())["status"] == "finished" and (folder / "checkpoints").is_dir():
                yield read_run(folder)


def read_run(folder: Path) -> Run:
    """One run directory; raises InputError where a file of it is missing or damaged."""
    try:
        cfg = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        environment = json.loads((folder / "environment.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        ranks = read_ranks(folder / "test_ranks.csv")
        pool = environment["corpus"]["test_pool_fingerprint"]
        root = cfg["corpus"].get("root")
        corpus = Path(root).name if root else cfg["choices"]["corpus"]
        masked = cfg.get("negatives", {}).get("mask_duplicates", False)
        return Run(folder, cfg["choices"], cfg["seed"], corpus, pool, ranks, metrics, masked)
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        raise InputError(f"{folder} is not a whole run directory ({type(error).__name__}: {error})") from error


def cells(runs: Iterable[Run]) -> dict[Setting, list[Cell]]:
    """Runs by setting, then by loss and estimator; InfoNCE first.

    Raises InputError where the runs of a setting ranked different queries or candidates, or where one cell holds two
    runs of a seed: their numbers must not share a table.
    """
    table: dict[Setting, dict[str, Cell]] = {}
    first: dict[Setting, Run] = {}
    for run in runs:
        reference = first.setdefault(run.setting, run)
        if run.pool != reference.pool or run.ranks.keys() != reference.ranks.keys():
            raise InputError(
                f"{run.path} and {reference.path} ranked different pools ({run.pool}, {reference.pool}): "
                "give runs over the same queries and candidates"
            )
        cell = table.setdefault(run.setting, {}).setdefault(run.name, Cell(run.name))
        for other in cell.runs:
            if other.seed == run.seed:
                raise InputError(
                    f"{run.path} and {other.path} are both {run.name} with seed {run.seed}: give one of them, or the "
                    "folder of one sweep"
                )
        cell.runs.append(run)
    return {
        setting: sorted(found.values(), key=lambda cell: (cell.name != "infonce", cell.name))
        for setting, found in table.items()
    }
