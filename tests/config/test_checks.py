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
        ("data.batch_size", 1, "data.batch_size: expected a whole number of 2 or more, found 1"),
        (
            "model.similarity",
            "cosin",
            "model.similarity: expected dot or cosine, found 'cosin'; did you mean 'cos",
        ),
        ("data.positives", "querry", "data.positives: expected code or query, found 'querry'; did you mean 'query'?"),
        ("data.num_workers", "atuo", "data.num_workers: expected a whole number of 0 or more or auto, found 'atuo'"),
        ("data.num_workers", -1, "data.num_workers: expected a whole number of 0 or more or auto, found -1"),
        ("trainer.grad_cache_chunk", 0, "trainer.grad_cache_chunk: expected a whole number of 1 or more or null, fou"),
        ("negatives.mined_per_query", 0, "negatives.mined_per_query: expected a whole number of 1 or more, found 0"),
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


@pytest.mark.parametrize("key", ["model.loss_block", "data.token_budget"])
@pytest.mark.parametrize("value", ["atuo", 0, -3, 2.5, True])
def test_a_number_of_rows_or_tokens_is_positive_auto_or_null(key, value):
    cfg = compose_config("train")
    OmegaConf.update(cfg, key, value)
    with pytest.raises(InputError, match=rf"^{key}: expected a whole number of 1 or more, auto or null, found"):
        check(cfg, "train")


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
