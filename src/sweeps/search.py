"""Searches for the hyper-parameters with the best val/mrr: a Hydra sweeper over Optuna (why our own: docs/sweeps.md).

Directories, locks, launchers and what is finished are those of the grid.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import OmegaConf

from src.runs import identity
from src.runs.directory import claimed, relative
from src.runtime import launch
from src.sweeps.cells import Cell
from src.sweeps.summary import print_summary
from src.sweeps.sweeper import ADVICE, AXES, PATIENCE, Grid, Known
from src.sweeps.trial import METRIC, journal, open_trial, pruner
from src.utils.errors import InputError
from src.utils.files import read_json
from src.utils.tables import number_of

CUT_OFF = "cut off"  # an attribute of trials whose job never ended: they are asked again, and do not count


class Search(Grid):
    """Trials one batch after the other, each a job; the same command resumes until there are `n_trials`.

    Args:
        root: the folder of all searches.
        params: what is searched, in Hydra's grammar: key: interval(a,b), tag(log,interval(a,b)), range(a,b) or a,b.
            The command line's replace these; keys that the configuration lacks are left out.
        n_trials: in all, earlier invocations included.
        n_jobs: trials that are asked for, and launched, at once.
        seed: of the sampler (TPE).
        startup: trials drawn at random before the sampler learns from them.
        pruning: options of Optuna's MedianPruner; null never ends a trial early.
    """

    axes = ()  # another seed is another search

    def __init__(
        self,
        root: str,
        params: Mapping[str, str],
        n_trials: int,
        n_jobs: int = 1,
        seed: int = 0,
        startup: int = 8,
        pruning: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(root, None, dict(params))
        self.n_trials, self.n_jobs, self.seed, self.startup = n_trials, n_jobs, seed, startup
        self.pruning = OmegaConf.to_container(OmegaConf.create(dict(pruning))) if pruning is not None else None

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the trials that are left; SystemExit with status 2 where one failed.

        Raises InputError where Optuna is not installed or a value cannot be searched.
        """
        try:
            import optuna
        except ImportError as error:
            raise InputError("hydra/sweeper=optuna needs optuna: pip install -e '.[optuna]'") from error

        if not launch.is_rank_zero():
            raise InputError("hydra/sweeper=optuna: a trial is one process; set trainer.devices=1")
        if self.config.sweep.grid:
            raise InputError("sweep= is a grid, found with hydra/sweeper=optuna: give one of them")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        chosen = self._chosen(arguments)
        self.fixed = [o for o in chosen if not o.is_sweep_override()]
        self.swept = [o for o in chosen if o.is_sweep_override()]
        space = {o.key_or_group: distribution(o) for o in self.swept}
        folder = self._folder(chosen, set())
        folder.mkdir(parents=True, exist_ok=True)
        with claimed(folder, PATIENCE, ADVICE):
            study = self._study(optuna, folder, space)
            self.known = Known(folder / "cells.json", self._sources())
            ran: dict[Cell, None] = {}
            try:
                self._settle(optuna, study, folder)
                print(
                    f"search {relative(folder)}: {self._left(study)} of {number_of(self.n_trials, 'trial')} to run",
                    flush=True,
                )
                while (left := self._left(study)) > 0:
                    trials = [study.ask(space) for _ in range(min(left, self.n_jobs))]
                    ran.update(dict.fromkeys(self._run(study, folder, trials)))
                    self._settle(optuna, study, folder)
            finally:  # Ctrl-C too
                found = dict.fromkeys(self._cell(folder, trial.params) for trial in study.trials)
                self.known.save()
                print_summary({cell: cell.status() for cell in found}, list(ran), folder)
        say_best(optuna, study)
        if any(trial.state == optuna.trial.TrialState.FAIL and not is_cut_off(trial) for trial in study.trials):
            sys.exit(2)

    def _chosen(self, arguments: Sequence[str]) -> list[Override]:
        """The command line's overrides, and of `params` what it does not name and the configuration has."""
        typed = {o.get_key_element(): o for o in self.parser.parse_overrides(list(arguments))}
        for key in AXES:
            if key in typed and typed[key].is_sweep_override():
                raise InputError(f"hydra/sweeper=optuna searches with one {key}, found {typed[key].input_line}")
        fixed = [str(o.input_line) for o in typed.values() if not o.is_sweep_override()]
        cfg = self.hydra_context.config_loader.load_sweep_config(self.config, fixed)
        given = self.parser.parse_overrides([f"{key}={values}" for key, values in self.params.items()])
        own = {o.get_key_element(): o for o in given if OmegaConf.select(cfg, o.key_or_group, default=cfg) is not cfg}
        return list({**own, **typed}.values())

    def _study(self, optuna: Any, folder: Path, space: Mapping[str, Any]) -> Any:
        """Made, or found again; another space is another study of the same folder."""
        study = optuna.create_study(
            storage=journal(study_file(folder)),
            study_name=identity.fingerprint({key: repr(values) for key, values in space.items()}),
            direction="maximize",
            load_if_exists=True,
            pruner=pruner(self.pruning),
        )
        # Begun again with the seed that it began with, a sampler would draw its first trials a second time.
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup, seed=self.seed + len(study.trials), constant_liar=self.n_jobs > 1
        )
        return study

    def _left(self, study: Any) -> int:
        return self.n_trials - sum(trial.state.is_finished() and not is_cut_off(trial) for trial in study.trials)

    def _cell(self, folder: Path, params: Mapping[str, Any]) -> Cell:
        """The job of these values: a directory that the same values find again."""
        job = [*(str(o.input_line) for o in self.fixed), *as_overrides(params)]
        if (directory := self.known.get(job)) is None:
            directory = self._directory(job, {o.get_key_element() for o in self.swept}, self.parser)
            self.known.add(job, directory)
        return Cell(tuple(job), folder / directory)

    def _run(self, study: Any, folder: Path, trials: Sequence[Any]) -> list[Cell]:
        """Runs the trials' jobs but those that an earlier trial has run; returns what ran."""
        todo: dict[Cell, Cell] = {}
        for trial in trials:
            cell = self._cell(folder, trial.params)
            state = cell.status()["status"]
            if state == "unfinished":
                cell.set_aside()
            elif state != "missing":
                continue
            pruning = json.dumps(self.pruning).replace('"', "")
            about = {"study": f"'{study_file(folder)}'", "name": study.study_name, "number": trial.number}
            extra = [f"+sweep.trial.{key}={value}" for key, value in (about | {"pruning": pruning}).items()]
            todo.setdefault(cell, Cell((*cell.overrides, *extra), cell.path))
        if todo:
            self._launch(list(todo.values()))
        return list(todo)

    def _settle(self, optuna: Any, study: Any, folder: Path) -> None:
        """Tells the study how the jobs of its open trials ended; those that were cut off will be asked again."""
        states = optuna.trial.TrialState
        for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            cell = self._cell(folder, trial.params)
            state = cell.status()["status"]
            if state == "finished" and math.isfinite(value := read_json(cell.path / "metrics.json")[METRIC]):
                study.tell(trial.number, value)
            elif state == "pruned":
                study.tell(trial.number, state=states.PRUNED)
            elif state in ("finished", "failed"):
                study.tell(trial.number, state=states.FAIL)
            elif state != "running":
                open_trial(study, study_file(folder), trial.number).set_user_attr(CUT_OFF, True)
                study.tell(trial.number, state=states.FAIL)
                study.enqueue_trial(trial.params)


def study_file(folder: Path) -> Path:
    """Optuna's journal of a search."""
    return folder / "study.log"


def distribution(override: Override) -> Any:
    """Optuna's distribution of a Hydra sweep; numbers are taken on a log scale where they are tagged `log`."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = override.value()
    if isinstance(values, ChoiceSweep):
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    if not isinstance(values, IntervalSweep | RangeSweep):
        raise InputError(f"{override.input_line}: expected interval(a,b), range(a,b) or a,b to search")
    bounds: Any = values
    low, high = bounds.start, bounds.stop if isinstance(values, RangeSweep) else bounds.end
    kind: Any = IntDistribution if isinstance(low, int) and isinstance(high, int) else FloatDistribution
    try:
        if isinstance(values, RangeSweep):  # without its end, as in Hydra
            steps = math.ceil((high - low) / bounds.step) - 1
            return kind(low, low + steps * bounds.step, step=bounds.step)
        return kind(low, high, log="log" in values.tags)
    except ValueError as error:
        raise InputError(f"{override.input_line}: {error}") from error


def as_overrides(params: Mapping[str, Any]) -> list[str]:
    """Of a trial, to four digits, which name a directory too."""
    return [f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()]


def is_cut_off(trial: Any) -> bool:
    return bool(trial.user_attrs.get(CUT_OFF))


def say_best(optuna: Any, study: Any) -> None:
    """The best trial, as overrides to type."""
    if study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        best = study.best_trial
        found = f"best {METRIC} {best.value:.4f} of {number_of(len(study.trials), 'trial')}, trial {best.number}"
        print(f"{found}: {' '.join(as_overrides(best.params))}", flush=True)
