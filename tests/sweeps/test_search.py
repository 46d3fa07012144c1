"""A search: what it asks for, what it goes on from, and what ends early. Training is a stand-in, Optuna is not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from src.report.runs import find_runs
from src.runs.directory import RunDirectory
from src.sweeps import trial
from src.utils.errors import InputError, TrialPruned, UserError
from tests.support.commands import run_command

optuna = pytest.importorskip("optuna")


def distribution(values: str):
    """Of `x=values`; imported here, as Hydra imports its sweepers anew when it first looks for plugins."""
    from src.sweeps.search import distribution

    [override] = OverridesParser.create().parse_overrides([f"x={values}"])
    return distribution(override)


class Search:
    """Jobs whose val/mrr is best at a learning rate of 0.03; `behave(cfg)` may say otherwise."""

    def __init__(self, folder: Path) -> None:
        self.root, self.rates, self.behave = folder / "searches", [], lambda cfg: None

    def job(self, cfg) -> None:
        run = RunDirectory(HydraConfig.get().runtime.output_dir)
        with run.recording():
            self.rates.append(cfg.optimizer.learning_rate)
            self.behave(cfg)
            run.write_config(cfg)
            run.write_metrics({"val/mrr": 1 / (1 + abs(math.log(cfg.optimizer.learning_rate / 0.03)))})

    def type(self, *overrides: str):
        self.rates.clear()
        command = ("-m", "hydra/sweeper=optuna", f"hydra.sweeper.root={self.root}", "loss=infonce", "logger=csv")
        return run_command("train", self.root, *command, *overrides)

    def states(self) -> list[str]:
        return sorted(json.loads(path.read_text())["status"] for path in self.root.glob("*/*/status.json"))


@pytest.fixture
def search(tmp_path, monkeypatch):
    search = Search(tmp_path)
    monkeypatch.setattr("src.train.main", search.job)
    return search


def test_a_search_resumes_with_new_trials_and_keeps_the_best_of_all(search):
    result = search.type("hydra.sweeper.n_trials=3")
    first = list(search.rates)
    assert result.status == 0, result.errors
    assert len(set(first)) == 3
    result = search.type("hydra.sweeper.n_trials=5")
    assert len(search.rates) == 2
    assert not set(search.rates) & set(first)
    best = min([*first, *search.rates], key=lambda rate: abs(math.log(rate / 0.03)))
    assert f"optimizer.learning_rate={best}" in result.output
    assert "5 of 5 cells finished (3 of them before)" in result.output
    result = search.type("hydra.sweeper.n_trials=5")
    assert search.rates == []
    assert "0 of 5 trials to run" in result.output


def test_an_interrupted_trial_is_run_again_and_counts_once(search):
    def interrupt(cfg) -> None:
        if len(search.rates) == 2:
            raise KeyboardInterrupt

    search.behave = interrupt
    assert search.type("hydra.sweeper.n_trials=3").status == 130
    began = list(search.rates)
    search.behave = lambda cfg: None
    assert search.type("hydra.sweeper.n_trials=3").status == 0
    assert len(search.rates) == 2
    assert search.rates[0] == began[1]
    assert search.states() == ["finished"] * 3


def test_a_failed_trial_is_reported_and_counted_and_the_search_continues(search):
    def fail_first(cfg) -> None:
        if len(search.rates) == 1:
            raise InputError("not this one")

    search.behave = fail_first
    result = search.type("hydra.sweeper.n_trials=2")
    assert result.status == 2
    assert len(search.rates) == 2
    assert search.states() == ["failed", "finished"]
    assert "not this one" in result.errors


class Trainer:
    """What the callback reads of Lightning's."""

    sanity_checking = False

    def __init__(self, epoch: int, value: float) -> None:
        self.current_epoch, self.callback_metrics = epoch, {"val/mrr": value}


def test_a_bad_trial_is_pruned_and_is_no_result(search):
    def train(cfg) -> None:
        [reporting] = trial.callbacks(cfg)
        bad = cfg.sweep.trial.number == 3
        for epoch in range(3):
            reporting.on_validation_end(Trainer(epoch, 0.1 if bad else 0.5), None)

    search.behave = train
    command = ("hydra.sweeper.n_trials=4", "hydra.sweeper.pruning={n_startup_trials:2,n_warmup_steps:1}")
    result = search.type(*command)
    assert result.status == 0, result.errors
    assert search.states() == ["finished"] * 3 + ["pruned"]
    assert "val/mrr 0.1000 is below the median of earlier trials at epoch 2" in result.output
    assert "3 of 4 cells finished, 1 pruned" in result.output
    assert search.type(*command).status == 0
    assert search.rates == []
    left_out = find_runs([search.root])[1]
    assert [run.why.partition(":")[0] for run in left_out] == ["pruned"]
    assert search.type("hydra.sweeper.n_trials=5", "hydra.sweeper.pruning=null").status == 0


def test_a_training_that_is_no_trial_is_not_pruned():
    assert trial.callbacks(OmegaConf.create({"sweep": {"grid": {}}})) == []
    assert trial.callbacks(OmegaConf.create({})) == []
    assert issubclass(TrialPruned, UserError)


def test_values_of_the_command_line_replace_those_that_are_searched(search):
    assert search.type("hydra.sweeper.n_trials=2", "optimizer.learning_rate=0.25,0.5").status == 0
    assert set(search.rates) <= {0.25, 0.5}
    kept = len(search.rates)
    assert search.type("hydra.sweeper.n_trials=2", "optimizer.learning_rate=0.125", "loss=soft_infonce").status == 0
    assert search.rates == [0.125] * 2
    assert kept in (1, 2)  # of the same values, one job


def test_a_search_with_two_seeds_is_refused(search):
    result = search.type("seed=1,2")
    assert result.status == 2
    assert "searches with one seed" in result.errors


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("interval(0.5,2)", optuna.distributions.FloatDistribution(0.5, 2)),
        ("tag(log,interval(0.5,2))", optuna.distributions.FloatDistribution(0.5, 2, log=True)),
        ("int(interval(1,7))", optuna.distributions.IntDistribution(1, 7)),
        ("range(1,8,3)", optuna.distributions.IntDistribution(1, 7, step=3)),
        ("range(1,7,3)", optuna.distributions.IntDistribution(1, 4, step=3)),
        ("a,b", optuna.distributions.CategoricalDistribution(["a", "b"])),
        ("choice(3,5)", optuna.distributions.CategoricalDistribution(["3", "5"])),
    ],
)
def test_a_range_becomes_a_distribution_of_the_same_ends_and_scale(values, expected):
    assert distribution(values) == expected


@pytest.mark.parametrize("values", ["interval(2,1)", "tag(log,interval(0,1))", "glob(*)"])
def test_values_that_cannot_be_searched_are_refused(values):
    with pytest.raises(InputError, match="x="):
        distribution(values)
