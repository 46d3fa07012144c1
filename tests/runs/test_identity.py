"""Which keys are no part of what a run is."""

from __future__ import annotations

import inspect

import pytest

from src.config.arguments import arguments, marked
from src.config.schema import Train
from src.config.targets import locate_target, named_in_conf
from src.config.types import Effect
from src.runs.identity import non_result_keys


def test_the_keys_that_change_no_result_are_those_marked_where_they_are_declared():
    assert non_result_keys() == {
        *("hydra", "sweep", "logger", "resume", "cache", "workers", "num_workers", "compare_infonce", "auto_batch"),
        *("save_every_n_minutes", "save_every_n_steps"),
    }


BUILT = sorted(name for name in named_in_conf() if name.startswith("src.") and "Logger" not in name)


@pytest.mark.parametrize("target", BUILT)
def test_a_key_has_the_same_effect_wherever_it_is_an_argument(target):
    """They are left out by name, at whatever depth."""
    of = locate_target(target)
    for effect in (Effect.NONE, Effect.ROUNDING):
        names = non_result_keys() if effect is Effect.NONE else marked(Train, effect)
        own = set(arguments(of)) & names - {"logger"}  # of lightning.Trainer, which no configuration gives
        assert own <= marked(of, effect), f"mark {sorted(own)} of {inspect.getmodule(of)} with {effect}"
