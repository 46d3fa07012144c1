"""The private member of Hydra that src/config/hydra_internals.py uses is there and does what it expects."""

from __future__ import annotations

from src.config.hydra_internals import hydra_parser

CHANGED = "Hydra's get_args_parser changed: adapt src/config/hydra_internals.py or narrow hydra-core's bound"


def test_hydras_parser_takes_a_command_line_apart():
    given, unknown = hydra_parser().parse_known_args(["--multirun", "seed=1,2", "--config-dir", "mine", "--nothing"])
    found = (given.multirun, given.overrides, given.config_dir, given.config_name, given.config_path, unknown)
    assert found == (True, ["seed=1,2"], "mine", None, None, ["--nothing"]), CHANGED
