"""A run's place in a dashboard: its group, its kind, and a configuration without what tells no run from another."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hydra.types import RunMode
from omegaconf import open_dict

from src.loggers.run_metadata import config, init_arguments, job_type
from tests.contracts.test_conf import composed


def chosen(*overrides: str):
    cfg = composed(*overrides)
    with open_dict(cfg):
        cfg.choices = {
            **{"loss": "soft_infonce", "weights": "bm25", "lang": "python"},
            **{"backbone": "tiny", "corpus": "stdlib", "batching": "random"},
        }
    return cfg


@pytest.mark.parametrize(("mode", "group"), [(RunMode.MULTIRUN, "paper_tiny"), (RunMode.RUN, "stdlib-python-tiny")])
def test_a_run_is_grouped_by_its_sweep_or_else_by_its_setting(mode, group, tmp_path, monkeypatch):
    hydra = SimpleNamespace(mode=mode, runtime=SimpleNamespace(choices={"experiment": None}))
    monkeypatch.setattr("src.loggers.run_metadata.HydraConfig", SimpleNamespace(get=lambda: hydra))
    told = init_arguments(chosen(), tmp_path / "paper_tiny" / "infonce_seed1_0123")
    assert (told["group"], told["name"], told["job_type"]) == (group, "infonce_seed1_0123", "train")
    assert {"loss=soft_infonce", "seed=1"} <= set(told["tags"])
    assert max(map(len, told["tags"])) <= 64


def test_the_kind_of_a_run_follows_from_its_loss_and_experiment():
    assert job_type(chosen("loss=infonce"), "simcse") == "estimator"
    assert job_type(chosen("loss=infonce"), None) == "baseline"
    assert job_type(chosen(), "paper/codebert") == "train"


def test_the_config_has_every_parameter_without_paths_or_internals():
    told = config(chosen("loss.alpha=0.5", "corpus=harvest", "corpus.roots=[/somewhere]"), {"test_queries": 13})
    assert (told["loss"], told["loss/alpha"], told["optimizer/learning_rate"]) == ("soft_infonce", 0.5, 0.03)
    assert (told["seed"], told["data/test_queries"], told["weights/between"]) == (1, 13, "query_query")
    text = str(told)
    assert not [word for word in ("_target_", "cache", "/somewhere", "recipe", "None", "hydra") if word in text]
    assert not [key for key, value in told.items() if isinstance(value, dict | list)]
