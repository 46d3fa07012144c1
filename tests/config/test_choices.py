"""Choices are types: --help lists them, and a wrong one is refused with the nearest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from src.cli import plain_values
from src.config.arguments import Argument
from src.config.commands import COMMANDS
from src.config.compose import compose_config
from src.config.help import keys
from src.config.overrides import options_of_groups
from src.config.targets import CONF
from src.config.types import describe_type, literal_values

GROUPS = ("loss", "weights", "backbone", "corpus", "batching", "trainer", "logger")
LISTED = re.compile(r"\b\w+ ?\| ?\w+")  # such as `dot | cosine`
ALTERNATIVES = re.compile(r"^\s*(\w+): *\S+ *# .*?(\b\w+(?: \| \w+)+)", re.MULTILINE)


def composed_keys(command: str, *overrides: str) -> Iterator[tuple[str, Argument]]:
    cfg = plain_values(compose_config(command, overrides))
    for key, _, argument in keys("", cfg, COMMANDS[command]):
        yield key, argument


def all_keys() -> dict[tuple[str, str], Argument]:
    """(command, key) -> argument, over every command and every option of a group."""
    found = {(command, key): item for command in COMMANDS for key, item in composed_keys(command)}
    options = options_of_groups()
    for group in GROUPS:
        for option in options[group]:
            found |= {("train", key): item for key, item in composed_keys("train", f"{group}={option}")}
    return found


@pytest.fixture(scope="module")
def arguments_by_key() -> dict[tuple[str, str], Argument]:
    return all_keys()


def takes_any_text(annotation: Any) -> bool:
    return not literal_values(annotation) and re.search(r"\btext\b", describe_type(annotation)) is not None


def test_a_key_whose_sentence_lists_choices_has_them_as_its_type(arguments_by_key):
    untyped = [
        f"{command}: {key}: {item.sentence}"
        for (command, key), item in arguments_by_key.items()
        if LISTED.search(item.sentence) and takes_any_text(item.annotation)
    ]
    assert not untyped


def test_a_key_whose_yaml_lists_choices_has_them_as_its_type(arguments_by_key):
    listed = {
        match[1]: match[2].split(" | ")
        for path in sorted(CONF.rglob("*.yaml"))
        for match in ALTERNATIVES.finditer(path.read_text(encoding="utf-8"))
    }
    assert {"similarity", "format"} <= listed.keys()
    for (_, key), item in arguments_by_key.items():
        name = key.rpartition(".")[2]
        if name in listed and takes_any_text(item.annotation):
            pytest.fail(f"{key} is text, and conf/ lists {listed[name]}")


@pytest.mark.parametrize(
    "key",
    [
        *("weights.between", "weights.statistics", "weights.normalize", "backbone.pooling", "backbone.encoder.dtype"),
        *("backbone.encoder.attn_implementation", "corpus.text", "corpus.dedup", "corpus.against", "corpus.batches"),
        *("model.similarity", "data.positives", "keep", "sweep.rerun", "logger.wandb.mode", "trainer.on_nonfinite"),
    ],
)
def test_the_help_lists_the_choices_of_a_key(key, arguments_by_key):
    [item] = {item for (command, name), item in arguments_by_key.items() if (command, name) == ("train", key)}
    assert len(literal_values(item.annotation)) > 1
    assert get_args(item.annotation)
