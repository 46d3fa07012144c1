"""Reading finished runs from their directories."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from src.config.targets import with_names
from src.runs.directory import read_ranks
from src.runs.identity import SET_ASIDE, reads_similarity, run_name
from src.utils.errors import InputError, first_line

Setting = tuple[str, str, str]  # corpus, lang, backbone: the same for all runs of a comparison
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is installed


@dataclass(frozen=True)
class Run:
    """One finished run."""

    path: Path
    choices: dict[str, str]
    seed: int
    corpus: str  # the corpus, or the name of its folder
    pool: str  # fingerprint of the candidate pool
    ranks: dict[str, float]
    metrics: dict[str, float]
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def setting(self) -> Setting:
        return self.corpus, self.choices["lang"], self.choices["backbone"]

    @cached_property
    def name(self) -> str:
        """The loss, and what else distinguishes the rows of a table."""
        negatives = self.config.get("negatives") or {}
        masked = ", copies masked" if negatives.get("mask_duplicates") else ""
        mined = f", {negatives.get('mined_per_query')} mined" if negatives.get("mined") else ""
        return f"{run_name(self.config)}{masked}{mined}"

    @cached_property
    def estimator(self) -> str:
        """The option of `weights`; empty where one was chosen and not used."""
        return self.choices["weights"] if reads_similarity(self.config) else ""

    @property
    def training_data(self) -> str:
        """Fingerprint of the training pairs; empty where the run did not record it."""
        return self.environment["corpus"].get("train_fingerprint", "")

    @cached_property
    def history(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Metric -> arrays of epoch, step and value, one entry per log, from metrics.csv; empty without that file."""
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


def find_runs(paths: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """Every finished run at or below the paths, and every training that did not finish.

    Evaluations, other jobs and a sweep's earlier attempts are ignored; a run below two of the paths counts once.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    seen: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            raise InputError(f"{path} is not a directory: give run directories, or a folder that holds some (outputs)")
        for file in sorted(path.rglob("status.json")):
            folder = file.parent
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            try:
                status = json.loads(file.read_text())
                how = status["status"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{file} is damaged ({error}): remove it, or the run") from error
            if how == "finished" and (folder / "checkpoints").is_dir():
                runs.append(read_run(folder))
            elif how not in ("finished", SET_ASIDE) and _is_training(folder):
                reason = f"{how}: {status['error']}" if status.get("error") else how
                shown = folder.relative_to(path) if folder != path else Path(folder.name)
                left_out.append(LeftOut(shown, reason))
    return runs, left_out


def _is_training(folder: Path) -> bool:
    """Whether an unfinished job was a training; assumed so where it stopped before writing its configuration."""
    try:
        cfg = yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), Loader)
    except (OSError, yaml.YAMLError):
        return True
    return isinstance(cfg, dict) and "loss" in cfg.get("choices", cfg)


def read_run(folder: Path) -> Run:
    """One run directory; raises InputError where a file of it is missing or damaged."""
    try:
        cfg = with_names(yaml.load((folder / "config.yaml").read_text(encoding="utf-8"), Loader))
        environment = json.loads((folder / "environment.json").read_text())
        metrics = json.loads((folder / "metrics.json").read_text())
        ranks = read_ranks(folder / "test_ranks.csv")
        pool = environment["corpus"]["test_pool_fingerprint"]
        root = cfg["corpus"].get("root")
        corpus = Path(root).name if root else cfg["choices"]["corpus"]
        if not ranks or min(ranks.values()) < 1:
            raise ValueError("test_ranks.csv holds no ranks, or some below 1")
        return Run(folder, cfg["choices"], cfg["seed"], corpus, pool, ranks, metrics, cfg, environment)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{folder} is not a complete run directory ({reason})") from error
