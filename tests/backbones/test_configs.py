"""conf/backbone and conf/experiment/paper: every file builds what it says it builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.utils.errors import InputError
from tests.backbones import checkpoints
from tests.backbones.checkpoints import HIDDEN, TEXTS

CONF = Path(__file__).parents[2] / "conf"

# Query tokens, code tokens, pooling, and the recipe: what the paper's code names.
PAPER = {
    "codebert": ("microsoft/codebert-base", 200, 200, "pooler", 1e-6, 0.1, 32, 10),
    "graphcodebert": ("microsoft/graphcodebert-base", 128, 256, "pooler", 2e-5, 0.0, 32, 30),
    "unixcoder": ("microsoft/unixcoder-base", 128, 256, "mean", 2e-5, 0.0, 64, 10),
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base=None):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize("backbone", ["codebert", "graphcodebert", "unixcoder", "minilm", "hf"])
def test_a_backbone_embeds_at_its_lengths_with_a_local_folder(tmp_path: Path, backbone: str) -> None:
    folder = checkpoints.roberta(tmp_path / "checkpoint", mode="vocabulary", rows=514)
    cfg = composed(f"backbone={backbone}", f"backbone.name={folder}")
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit([])
    encoder.eval()
    with torch.no_grad():
        assert encoder(encoder.queries([*TEXTS, "read " * 999])).shape == (len(TEXTS) + 1, HIDDEN)
        assert encoder(encoder.codes([*TEXTS, "read " * 999])).shape == (len(TEXTS) + 1, HIDDEN)


def test_the_pooling_of_the_backbone_is_that_of_its_encoder(tmp_path: Path) -> None:
    cfg = composed("backbone=hf", "backbone.name=anywhere", "backbone.pooling=last")
    assert instantiate(cfg.backbone.encoder).pooling == "last"


def test_hf_without_a_name_is_refused_with_the_option_that_gives_one() -> None:
    with pytest.raises(Exception, match=r"backbone=hf needs backbone\.name=") as caught:
        instantiate(composed("backbone=hf").backbone.encoder)
    assert isinstance(caught.value.__cause__, InputError)


@pytest.mark.parametrize("name", PAPER)
def test_a_paper_experiment_keeps_the_numbers_of_the_papers_code(name: str) -> None:
    cfg = composed(f"experiment=paper/{name}")
    encoder, recipe, loss = cfg.backbone.encoder, cfg.backbone.recipe, cfg.loss
    found = (encoder.name, encoder.max_query_tokens, encoder.max_code_tokens, encoder.pooling)
    found += (recipe.learning_rate, recipe.warmup, recipe.batch_size, recipe.epochs)
    assert found == PAPER[name]
    assert (recipe.similarity, recipe.score_scale, recipe.weight_decay, cfg.seed) == ("dot", 1.0, 0.0, 123456)
    assert loss._target_.endswith("SoftInfoNCE")
    assert (loss.alpha, loss.beta, loss.weight_temperature, loss.min_weight) == (1.0, 1.0, 1.0, 0.1)
    assert cfg.weights._target_.endswith("BM25Estimator")
    assert (cfg.weights.between, cfg.weights.statistics, cfg.weights.normalize) == ("query_query", "batch", "none")


@pytest.mark.parametrize("name", PAPER)
def test_a_paper_experiment_names_its_command_and_takes_another_loss(name: str) -> None:
    first, command = (CONF / "experiment" / "paper" / f"{name}.yaml").read_text().splitlines()[:2]
    assert first == "# @package _global_"
    assert command.startswith(f"# python -m src.train experiment=paper/{name} ")
    instantiate(composed(f"experiment=paper/{name}", "loss=infonce").loss)
