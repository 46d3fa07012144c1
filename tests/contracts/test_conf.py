"""Every yaml of conf/ composes, and every option of every group builds what its contract asks for."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict

from src.backbones.base import Encoder
from src.cli import CONF
from src.corpora.base import Corpus, Split
from src.corpora.dedup import Deduplicated
from src.data.samplers import Batching
from src.losses.base import Loss
from src.training.guide_models import attach_guide_models
from src.utils.errors import InputError
from src.weights.base import Estimator
from src.weights.none import NoEstimator
from tests.support.doubles import write_corpus

FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
LANGUAGES = {"python", "java", "javascript", "php", "ruby", "go"}


def options(group: str) -> list[str]:
    return [path.relative_to(group).with_suffix("").as_posix() for path in FILES if path.is_relative_to(group)]


def composed(*overrides: str):
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return compose("train", overrides=list(overrides))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_yaml_file_composes(path):
    if path.parent == Path():
        with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
            assert compose(path.stem)
        return
    group = "experiment" if path.parts[0] == "experiment" else path.parent.as_posix()
    choice = path.relative_to(group).with_suffix("").as_posix()
    if group == "source":
        with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
            assert compose("download", overrides=[f"corpus={choice}"]).source.rows._target_
        return
    cfg = composed(f"{group}={choice}")
    assert OmegaConf.to_container(cfg, resolve=True)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_yaml_file_begins_with_a_comment_on_its_purpose(path):
    first = (CONF / path).read_text(encoding="utf-8").splitlines()[:6]
    comments = " ".join(line for line in first if line.startswith("#") and not line.startswith("# @package"))
    assert len(comments) > 20, "start the file with a comment that says what it is for and how to use it"


@pytest.mark.parametrize("name", options("loss"))
def test_every_loss_keeps_the_contract(name):
    loss = instantiate(composed(f"loss={name}").loss)
    assert isinstance(loss, Loss)
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    similarity = torch.rand(3, 5, generator=torch.Generator().manual_seed(1)) if loss.needs_similarity else None
    value = loss(scores, torch.tensor([4, 0, 2]), similarity)
    value.sum().backward()
    assert value.shape == (3,)
    assert torch.isfinite(scores.grad).all()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Overrides of a corpus of 67 pairs, and an empty cache."""
    root = write_corpus(tmp_path_factory.mktemp("corpus"))
    cache = tmp_path_factory.mktemp("cache")
    return ["corpus=codesearchnet", f"corpus.root={root}", f"cache={cache}", "trainer.accelerator=cpu"]


@pytest.mark.parametrize("name", options("weights"))
def test_every_estimator_keeps_the_contract(name, small, monkeypatch):
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        cfg = compose("train", overrides=[f"weights={name}", "data.num_workers=0", *small])
        with open_dict(cfg):
            cfg.choices = {"backbone": "tiny", "corpus": "codesearchnet", "lang": "python"}
        estimator = instantiate(cfg.weights)
        assert isinstance(estimator, Estimator)
        attach_guide_models(estimator, cfg)
        for part in estimator.components():
            part.training = {"batch_size": 16, "max_epochs": 1}
        estimator.fit(instantiate(cfg.corpus).split("train").pairs)
    if isinstance(estimator, NoEstimator):
        with pytest.raises(InputError):
            estimator.similarity(np.arange(2), np.arange(2))
        return
    rows, columns = np.array([2, 0, 5]), np.arange(7)
    similarity = estimator.similarity(rows, columns)
    assert similarity.shape == (3, 7)
    assert similarity.dtype.name == "float32"
    assert np.isfinite(similarity).all()
    gathered = estimator.collate(rows, columns)
    assert (estimator.similarity_on_device(gathered).numpy() == similarity).all()
    monkeypatch.setattr("src.weights.base.PRECOMPUTE_LIMIT", 20)
    for held in (gathered, estimator.collate(rows, columns)):  # as in a batch that is held, and in one that is not
        blocks = [estimator.similarity_on_device(held, slice(*block)).numpy() for block in ((0, 1), (1, 3))]
        np.testing.assert_allclose(np.concatenate(blocks), similarity, rtol=1e-5, atol=1e-6)
    if name != "bm25_paper":  # whose statistics are those of the columns
        np.testing.assert_allclose(estimator.similarity(rows[1:], columns), similarity[1:], rtol=1e-5, atol=1e-6)
    there = pickle.loads(pickle.dumps(estimator))  # as in a worker that was spawned
    assert (there.similarity(rows, columns) == similarity).all()


@pytest.mark.parametrize("name", options("backbone"))
def test_every_backbone_keeps_the_contract(name):
    cfg = composed(f"backbone={name}", *(["backbone.name=some/name"] if name == "hf" else []))
    encoder = instantiate(cfg.backbone.encoder)
    assert isinstance(encoder, Encoder)
    recipe = {"similarity", "score_scale", "learning_rate", "weight_decay", "warmup", "batch_size", "epochs"}
    assert cfg.backbone.recipe.keys() == recipe | {"compare_infonce"}


@pytest.mark.parametrize("name", options("batching"))
def test_every_batching_keeps_the_contract(name):
    batching = instantiate(composed(f"batching={name}").batching)
    assert isinstance(batching, Batching)
    order = batching.sampler(lambda rows, columns: -np.abs(rows[:, None] - columns[None, :]).astype("f"), 23, seed=3)
    assert sorted(order) == list(range(23))
    assert len(order) == 23


@pytest.mark.parametrize("name", options("corpus"))
def test_every_corpus_keeps_the_contract(name):
    cfg = composed(f"corpus={name}")
    corpus = instantiate(cfg.corpus)  # reads nothing
    assert isinstance(corpus, Corpus)
    assert corpus.language == cfg.lang.name
    with contextlib.suppress(InputError, OSError):  # its data may not be here
        corpus.check()
        assert isinstance(corpus.split("valid"), Split)
    if "dedup" in cfg.corpus:
        near = composed(f"corpus={name}", "corpus.dedup=near").corpus
        assert isinstance(instantiate(near), Deduplicated)


def test_every_language_of_the_paper_has_an_option():
    assert set(options("lang")) == {*LANGUAGES, "all"}
    for name in LANGUAGES:
        assert composed(f"lang={name}").corpus.language == name


@pytest.mark.parametrize("name", options("trainer"))
def test_every_trainer_option_builds_a_trainer(name, tmp_path):
    cfg = composed(f"trainer={name}").trainer
    if cfg.accelerator == "gpu" and not torch.cuda.is_available():
        cfg.accelerator = "cpu"
    trainer = instantiate(cfg, logger=False, default_root_dir=str(tmp_path), enable_checkpointing=False)
    assert isinstance(trainer, L.Trainer)


@pytest.mark.parametrize("name", options("logger"))
def test_every_logger_writes_files(name, tmp_path):
    for node in composed(f"logger={name}").logger.values():
        logger = instantiate(node, save_dir=str(tmp_path))
        logger.log_metrics({"train/loss": 1.0}, 1)
        logger.save()
        if hasattr(logger, "finish"):
            logger.finish({})
        assert any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_builds_its_loss_and_estimator(name):
    cfg = composed(f"experiment={name}")
    loss = instantiate(cfg.loss)
    loss.check_negatives(cfg.data.batch_size - 1)
    assert isinstance(instantiate(cfg.weights), Estimator)
