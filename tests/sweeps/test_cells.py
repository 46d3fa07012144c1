"""Which jobs of a grid are the same cell, and which are not."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("overrides", "seeds", "estimators"),
    [(("weights=bm25,simcse", "seed=1"), 1, 2), pytest.param(("seed=1,2",), 2, 3, marks=pytest.mark.slow)],
)
def test_a_loss_without_similarity_runs_once_for_all_estimators(sweep, overrides, seeds, estimators):
    assert sweep.type("sweep=losses_by_estimators", *overrides).status == 0
    names = sweep.executed()
    assert len(names) == len(set(names)) == seeds * (1 + 5 * estimators)
    assert sum(name.startswith("infonce_seed") for name in names) == seeds
    assert sum(name.startswith("soft_infonce_simcse_seed1_") for name in names) == 1


def test_similar_batches_run_once_per_estimator_and_random_ones_once(sweep):
    assert sweep.type("loss=infonce", "weights=bm25,simcse", "batching=similar,random").status == 0
    assert len(sweep.executed()) == 3


def test_a_value_of_the_command_line_replaces_that_of_the_grid(sweep):
    assert sweep.type("sweep=losses_by_estimators", "loss=bce", "weights=bm25,simcse", "lang=python,ruby").status == 0
    assert len(sweep.executed()) == 4


def test_a_changed_setting_does_not_reuse_the_results_of_another(sweep):
    sweep.type("seed=1,2")
    assert len(sweep.executed()) == 2
    sweep.type("seed=1,2", "loss.alpha=0.5")
    assert len(sweep.executed()) == 2
    sweep.type("seed=1,2", "loss.alpha=1.0")  # the default
    assert len(sweep.executed()) == 2  # a sweep of its own name
    sweep.type("seed=1,2", "loss.alpha=0.5")
    assert sweep.executed() == []


def test_an_edited_yaml_runs_its_own_cells_again(sweep, tmp_path):
    mine = tmp_path / "conf" / "loss" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    command = (f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "loss=mine,infonce")
    text = "_target_: src.losses.soft_infonce.SoftInfoNCE\nalpha: 1.0\nbeta: 1.0\nweight_temperature: {}\n"
    mine.write_text(text.format(1.0))
    assert sweep.type(*command).status == 0
    assert len(sweep.executed()) == 2
    mine.write_text(text.format(0.5))
    sweep.type(*command)
    assert [name.rsplit("_", 1)[0] for name in sweep.executed()] == ["mine"]
    assert list(sweep.states().values()) == ["finished"] * 3


def test_a_cache_or_a_logger_does_not_make_another_cell(sweep, tmp_path):
    sweep.type("seed=1,2", "lang=ruby")
    sweep.executed()
    sweep.type("seed=1,2", "lang=ruby", f"cache={tmp_path}", "logger=csv", "data.num_workers=0")
    assert sweep.executed() == []


def test_the_order_of_overrides_does_not_make_another_sweep(sweep):
    sweep.type("seed=1,2", "loss.alpha=0.5", "data.batch_size=64")
    assert len(sweep.executed()) == 2
    sweep.type("data.batch_size=64", "seed=2,1", "loss.alpha=0.5")
    assert sweep.executed() == []


def test_additional_seeds_do_not_run_the_earlier_ones_again(sweep):
    sweep.type("loss=infonce,bce", "seed=1")
    sweep.executed()
    sweep.type("loss=infonce,bce", "seed=2,1")
    assert len(sweep.executed()) == 2
    assert len(list(sweep.root.iterdir())) == 1


def test_a_cell_has_the_name_that_it_always_had(sweep):
    assert sweep.type("loss=infonce,soft_infonce", "weights=bm25", "seed=1", "data.num_workers=0").status == 0
    found = sweep.executed()
    assert found == ["infonce_seed1_d74391cce7", "soft_infonce_seed1_8f0f74222e"], (
        f"the names of cells changed, so that finished ones are not found: {found}. If that is meant, raise "
        "sweeps/sweeper.NAMES_VERSION and put the new ones here"
    )
