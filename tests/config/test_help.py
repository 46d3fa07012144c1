"""--help: every key with its value, type and sentence, for what the command line composes."""

from __future__ import annotations

import pytest

from src.cli import composed_help
from src.config.commands import COMMANDS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_key_is_shown_with_its_sentence(command):
    lines = composed_help(command, []).splitlines()
    keys = [place for place, line in enumerate(lines) if line.startswith("  ") and "=" in line.split()[0]]
    assert keys
    assert not [lines[place] for place in keys if not lines[place + 1].startswith("      ")]
    assert "trainer.precision=32-true" in "".join(lines) or command not in ("train", "inspect_weights")
    assert max(map(len, lines)) <= 120


def test_the_options_of_the_chosen_groups_are_shown():
    text = composed_help("train", ["loss=bce", "weights=mixture"])
    assert "bce*" in text
    assert "loss.weight_temperature=1.0" in text
    assert "loss.alpha" not in text
    assert "weights.parts.simcse.training.max_epochs=null" in text


def test_only_the_requested_keys_are_shown():
    text = composed_help("train", ["optimizer"])
    keys = [
        line.split("=")[0].strip() for line in text.splitlines() if line.startswith("  ") and "=" in line.split()[0]
    ]
    assert keys == ["optimizer.learning_rate", "optimizer.weight_decay", "optimizer.warmup"]
