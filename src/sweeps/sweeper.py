"""Runs the missing cells of a grid: a Hydra sweeper that finds what an earlier invocation has finished.

The grid is that of the command line and of `sweep=`. The sweep's directory is named by the grid and by the fixed
overrides, a cell's by its overrides and a hash of its resolved configuration, so the same command finds both again.
docs/sweeps.md says what runs again, and where. Launchers are Hydra's.
"""

import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from src.runs import identity
from src.runs.directory import claimed, relative
from src.runs.identity import reads_similarity
from src.runtime import launch
from src.sweeps import cells, stopping
from src.sweeps.cells import Cell
from src.sweeps.summary import print_summary
from src.utils.errors import InputError, nearest
from src.utils.files import read_json, write_atomically
from src.utils.tables import number_of

RERUN = {
    "missing": ("missing", "unfinished"),
    "failed": ("missing", "unfinished", "failed"),
    "all": ("missing", "unfinished", "failed", "finished"),
}
# Values of these never make another sweep: more seeds or languages join the cells that are there.
AXES = ("seed", "lang")
ADVICE = "wait for its end, or give this sweep another directory with hydra.sweep.dir=DIR"
PATIENCE = 20.0  # seconds: what a killed sweep leaves behind, workers of a loader above all, ends in less
# To be raised with every change of code that gives a job another directory, such as whether a loss reads a similarity:
# then cells.json, which remembers them, is made again.
NAMES_VERSION = 1


class Grid(Sweeper):
    """Runs every combination of the swept values, less those that need not run.

    Args:
        root: the folder of all sweeps.
        max_batch_size: jobs that a launcher gets at once; None: all of them.
        params: swept values in addition to the command line's, as Hydra's own sweeper takes them.
    """

    axes: tuple[str, ...] = AXES
    # Set in `setup`, before anything else is called.
    hydra_context: HydraContext
    config: DictConfig
    launcher: Launcher

    def __init__(self, root: str, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.root = Path(root)
        self.max_batch_size = max_batch_size
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Runs what is to run; SystemExit with status 2 where a cell failed, now or earlier.

        Raises ResourceError where another process is at work on the sweep, InputError for an unknown `sweep.rerun`.
        """
        rerun = self.config.sweep.rerun
        if rerun not in RERUN:
            raise InputError(f"sweep.rerun: expected {', '.join(RERUN)}, found {rerun!r}{nearest(str(rerun), RERUN)}")
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        grid = [f"{key}={values}" for key, values in {**(self.config.sweep.grid or {}), **self.params}.items()]
        overrides = {o.get_key_element(): o for o in parser.parse_overrides([*grid, *arguments])}
        chosen = [o for o in overrides.values() if o.key_or_group.split(".")[0] != "sweep"]
        folder = self._folder(chosen, {o.partition("=")[0] for o in grid})
        if not launch.is_rank_zero():  # one of several processes: the first one keeps the books
            states = (*RERUN[rerun], "running")  # by the first
            todo = [cell for cell in self._cells(chosen, folder, parser) if cell.status()["status"] in states]
            return self._launch(todo, elsewhere=True)

        folder.mkdir(parents=True, exist_ok=True)
        with claimed(folder, PATIENCE, ADVICE):
            found = self._cells(chosen, folder, parser)
            before = {cell: cell.status()["status"] for cell in found}
            todo = [cell for cell in found if before[cell] in RERUN[rerun]]
            counts = Counter(before.values())
            counted = ", ".join(f"{counts[state]} {state}" for state in (*RERUN["all"], "running") if counts[state])
            print(
                f"sweep {relative(folder)}: {number_of(len(before), 'cell')} ({counted}), {len(todo)} to run",
                flush=True,
            )
            resumable = self.config.get("resume") != "never"  # as every run of src.train is, from its last checkpoint
            for cell in todo:
                resumes = before[cell] == "unfinished" and resumable and "identity" in identity.recorded(cell.path)
                if before[cell] != "missing" and not resumes:
                    cell.set_aside()
            try:
                if todo:
                    self._launch(todo)
            finally:  # Ctrl-C too
                ended = {cell: cell.status() for cell in found}
                print_summary(ended, todo, folder)
        if any(status["status"] != "finished" for status in ended.values()):
            sys.exit(2)

    def _cells(self, chosen: Sequence[Override], folder: Path, parser: OverridesParser) -> list[Cell]:
        """The cells in the order of the grid, each once; a job's configuration is composed only if it never was."""
        named = {o.get_key_element() for o in chosen if o.is_sweep_override() or o.key_or_group in AXES}
        there = {hashed(path.name): path.name for path in folder.glob("*_*") if path.is_dir()}
        known = Known(folder / "cells.json", self._sources())
        found: dict[str, Cell] = {}
        for job in combinations(chosen):
            if (directory := known.get(job)) is None:
                directory = self._directory(job, named, parser)
                known.add(job, directory)
            # Jobs of one hash are the same run, and the name that it was first given stays.
            directory = there.get(hashed(directory), directory)
            found.setdefault(hashed(directory), Cell(tuple(job), folder / directory))
        if launch.is_rank_zero():
            known.save()
        return list(found.values())

    def _directory(self, job: Sequence[str], named: set[str], parser: OverridesParser) -> str:
        """Named by those of the job's overrides that decide something, and the hash of all that does."""
        cfg = self.hydra_context.config_loader.load_sweep_config(self.config, list(job))
        self._check(cfg, job)
        named_overrides = [
            o for o in parser.parse_overrides(list(job)) if o.get_key_element() in named and cells.changes_result(o)
        ]
        if not reads_similarity(cfg):
            named_overrides = [o for o in named_overrides if o.key_or_group.split(".")[0] != "weights"]
        name = cells.joined(cells.words(named_overrides, self.config.hydra.runtime.choices)) or "cell"
        return f"{name}_{identity.identity(cfg, 10)}"

    @staticmethod
    def _check(cfg: DictConfig, job: Sequence[str]) -> None:
        """Raises InputError, before the first cell runs, for keys and values that no cell could run with."""
        from src.config.checks import check  # here, since a sweep may have nothing to run

        try:
            check(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]), cfg.hydra.job.config_name)
        except InputError as error:
            raise InputError(f"{error} (in the cell {' '.join(job)})") from None

    def _folder(self, chosen: Sequence[Override], axes: set[str]) -> Path:
        """The sweep's directory: hydra.sweep.dir where it was given, else named by the grid and what is fixed."""
        given = [o.partition("=")[2] for o in self.config.hydra.overrides.hydra if o.startswith("hydra.sweep.dir=")]
        if not launch.is_rank_zero():
            given = given[:-1]  # the last one sends what this process writes to nowhere
        if given:
            return Path(given[-1].strip("'\""))
        swept = [o for o in chosen if o.is_sweep_override()]
        axes = axes | {o.get_key_element() for o in swept} | set(self.axes)
        fixed = [o for o in chosen if o.get_key_element() not in axes and cells.changes_result(o)]
        fixed.sort(key=lambda override: str(override.input_line))  # typed in another order, it is the same sweep
        choices = self.config.hydra.runtime.choices
        name = choices.get("sweep")
        keys = [o.key_or_group.rsplit(".", 1)[-1] for o in swept if o.key_or_group not in AXES]
        parts = [name] if name else keys or ["runs"]
        parts += cells.words(fixed, choices)
        if fixed:
            parts = [cells.joined(parts), identity.fingerprint([o.input_line for o in fixed], 6)]
        return self.root / cells.joined([cells.UNSAFE.sub("-", part) for part in parts])

    def _sources(self) -> str:
        """A hash of what turns overrides into the names of directories: Hydra, the yaml files, and our own version."""
        paths = [Path(source.path) for source in self.config.hydra.runtime.config_sources if source.schema == "file"]
        files = [file for path in paths for file in sorted(path.rglob("*.yaml"))]
        versions = [hydra.__version__, NAMES_VERSION]
        return identity.fingerprint([*versions, *((file.name, file.read_text("utf-8")) for file in files)])

    def _launch(self, todo: Sequence[Cell], elsewhere: bool = False) -> None:
        """Runs the cells; how they ended is in their directories, wherever the launcher ran them."""
        where = []
        if todo and not elsewhere:
            where = [f"hydra.sweep.dir='{todo[0].path.parent}'"]
            with read_write(self.config.hydra.sweep), open_dict(self.config.hydra.sweep):
                self.config.hydra.sweep.dir = str(todo[0].path.parent)  # which launchers make
        jobs = [[*cell.overrides, *where, f"hydra.sweep.subdir='{cell.path.name}'"] for cell in todo]
        for start in range(0, len(jobs), self.max_batch_size or len(jobs)):
            with stopping.jobs_elsewhere(self.launcher):
                results = self.launcher.launch(jobs[start:][: self.max_batch_size], initial_job_idx=start)
            if elsewhere:
                for result in results:
                    _ = result.return_value  # raises what the job raised


def combinations(chosen: Sequence[Override]) -> Iterator[list[str]]:
    """The overrides of every job, the last swept key running fastest. Raises InputError for a value without an end."""
    axes = {}
    for override in chosen:
        key = override.get_key_element()
        if not override.is_sweep_override():
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            raise InputError(f"{override.input_line}: a grid needs a list of values; hydra/sweeper=optuna searches")
    return map(list, itertools.product(*axes.values()))


def hashed(directory: str) -> str:
    """The hash at the end of a cell's name."""
    return directory.rsplit("_", 1)[-1]


class Known:
    """Directories of jobs by their overrides, kept in a file: composing hundreds of configurations takes a minute."""

    def __init__(self, path: Path, sources: str) -> None:
        self.path, self.sources = path, sources
        kept = read_json(path)
        self.directories: dict[str, str] = kept["directories"] if kept.get("sources") == sources else {}

    def get(self, job: Sequence[str]) -> str | None:
        return self.directories.get(" ".join(job))

    def add(self, job: Sequence[str], directory: str) -> None:
        if "${" not in (text := " ".join(job)):  # such as a variable of the environment, which can change
            self.directories[text] = directory

    def save(self) -> None:
        write_atomically(self.path, json.dumps({"sources": self.sources, "directories": self.directories}, indent=1))
