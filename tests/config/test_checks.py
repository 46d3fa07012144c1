"""A composed configuration against its keys."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf, open_dict

from src.config.arguments import arguments
from src.config.checks import check
from src.config.commands import COMMANDS
from src.config.compose import compose_config
from src.config.targets import CONF
from src.utils.errors import InputError

GROUPS = ("loss", "weights", "lang", "backbone", "corpus", "batching", "trainer", "logger", "sweep", "experiment")
CHOICES = [
    f"{group}={path.relative_to(CONF / group).with_suffix('').as_posix()}"
    for group in GROUPS
    for path in sorted((CONF / group).rglob("*.yaml"))
]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_shipped_option_passes_the_check(choice):
    check(compose_config("train", [choice]), "train")


@pytest.mark.parametrize("command", ["inspect_weights", "eval", "corpus_report", "harvest"])
def test_a_shipped_command_passes_the_check(command):
    check(compose_config(command), command)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_key_has_a_sentence(command):
    assert not [key for key, item in arguments(COMMANDS[command]).items() if not item.sentence]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("loss.alhpa", 1.0, "loss.alhpa is no key of loss (SoftInfoNCE); did you mean 'loss.alpha'?"),
        ("sed", 1, "sed is no key of the configuration; did you mean 'seed'?"),
        ("corpus.txt", "source", "corpus.txt is no key of corpus (deduplicated); did you mean 'corpus.root'?"),
        ("trainer.limit_train_batch", 4, "trainer.limit_train_batch is no key of trainer (trainer); did you mean 'tr"),
        (
            "logger.wandb.entty",
            "x",
            "logger.wandb.entty is no key of logger.wandb (FaultTolerantWandbLogger); did you me",
        ),
        ("backbone.encoder.buckets", "many", "backbone.encoder.buckets: expected a whole number of 1 or more, found"),
        ("loss.alpha", None, "loss.alpha: expected a number, found null"),
        ("data.batch_size", True, "data.batch_size: expected a whole number of 2 or more, found true"),
        ("weights.x", {"_target_": "os.system"}, "the configuration asks to build 'os.system': never built"),
    ],
)
def test_a_mistake_is_refused_and_its_key_named(key, value, expected):
    cfg = compose_config("train")
    with open_dict(cfg):
        OmegaConf.update(cfg, key, value, force_add=True)
    with pytest.raises(InputError) as error:
        check(cfg, "train")
    assert str(error.value).startswith(expected)


def test_arguments_that_a_library_passes_on_are_accepted():
    strategy = {"_target_": "lightning.pytorch.strategies.DDPStrategy", "static_graph": True}
    cfg = compose_config("train", ["trainer=ddp"])
    cfg.trainer.strategy = strategy
    check(cfg, "train")


def test_a_deleted_key_is_reported():
    cfg = compose_config("train", ["~loss.alpha"])
    with pytest.raises(InputError, match=r"^loss\.alpha: expected a number, found nothing"):
        check(cfg, "train")


def test_keys_of_a_part_inside_a_part_are_checked():
    cfg = compose_config("train", ["weights=mixture", "weights.parts.bm25.scale=big"])
    with pytest.raises(InputError, match=r"^weights\.parts\.bm25\.scale: expected a number, found 'big'"):
        check(cfg, "train")
    cfg = compose_config("train", ["backbone=two_towers", "backbone.query.lora.rank=0"])
    with pytest.raises(InputError, match=r"lora\.rank: expected a whole number of 1 or more or null, found 0"):
        check(cfg, "train")
