"""Frozen models behind estimators: trained once, applied once, never moved, found again by content."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import open_dict
from torch.nn import functional as F

from src.config.compose import compose_config
from src.training.build import build_estimator, build_loss, read_module
from src.training.fit import build_model_and_data, fit
from src.training.guide_models import attach_guide_models
from src.utils.disk_cache import Cache
from tests.backbones.checkpoints import bert
from tests.support.commands import QUICK, run_command, trained
from tests.support.doubles import write_corpus

SMALL = (*QUICK, "corpus=codesearchnet", "data.batch_size=16", "trainer.max_epochs=1")
SIMCSE = ("weights.training.batch_size=16", "weights.training.max_epochs=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that the tests of this file fill together."""
    return tmp_path_factory.mktemp("cache")


def configured(*overrides: str):
    cfg = compose_config("train", overrides)
    with open_dict(cfg):
        cfg.choices = {"backbone": "tiny", "corpus": "codesearchnet", "lang": "python", "loss": "soft_infonce"}
        cfg.trainer.logger = False
    return cfg


@pytest.fixture
def fitted(root, cache):
    """(cfg, estimator, pairs) of overrides."""

    def make(*overrides: str):
        cfg = configured(*SMALL[1:], f"corpus.root={root}", f"cache={cache}", *overrides)
        estimator = build_estimator(cfg, build_loss(cfg))
        attach_guide_models(estimator, cfg)
        pairs = instantiate(cfg.corpus).split("train").pairs
        estimator.fit(pairs)
        return cfg, estimator, pairs

    return make


def entries(cache: Path) -> dict[str, int]:
    kinds = [path.parent.name for path in Cache(cache).entries()]
    return {kind: kinds.count(kind) for kind in kinds}


def direct(cache: Path, name: str, texts, side: str) -> torch.Tensor:
    """Embeddings by one forward pass of the cached model."""
    models = [p for p in Cache(cache).entries() if p.parent.name == "models" and _about(p).startswith(name)]
    module = read_module(models[-1] / "model.ckpt").eval()
    with torch.no_grad():
        return module.embed(getattr(module.encoder, {"query": "queries", "code": "codes"}[side])(texts))


def _about(folder: Path) -> str:
    return json.loads((folder / "about.json").read_text())["about"]


def test_simcse_is_the_cosine_of_a_direct_forward_pass(fitted, cache):
    _, estimator, pairs = fitted("weights=simcse", *SIMCSE)
    queries = F.normalize(direct(cache, "simcse", [pair.query for pair in pairs], "query"), dim=1)
    rows, columns = np.array([5, 0, 61]), np.arange(67)
    expected = 10 * (queries[rows] @ queries.T)
    np.testing.assert_allclose(estimator.similarity(rows, columns), expected, atol=1e-5)
    np.testing.assert_allclose(np.diag(estimator.similarity(columns, columns)), 10, atol=1e-4)


def test_the_trained_models_similarity_is_its_score_of_query_and_code(fitted, cache):
    _, estimator, pairs = fitted("weights=trained_model")
    queries = direct(cache, "trained_model", [pair.query for pair in pairs], "query")
    codes = direct(cache, "trained_model", [pair.code for pair in pairs], "code")
    rows = np.array([5, 0, 61])
    expected = 20 * (queries[rows] @ codes.T)  # the tiny backbone's own score: 20 x cosine
    np.testing.assert_allclose(estimator.similarity(rows, np.arange(67)), expected, atol=1e-5)
    assert not np.allclose(estimator.similarity(rows, rows), estimator.similarity(rows, rows).T)


@pytest.mark.parametrize("weights", ["simcse", "trained_model"])
def test_the_estimator_stays_the_same_while_the_model_trains(fitted, tmp_path, weights):
    cfg, estimator, _ = fitted(f"weights={weights}", *(SIMCSE if weights == "simcse" else []))
    everything = np.arange(67)
    before = estimator.similarity(everything, everything)
    module, data = build_model_and_data(cfg, instantiate(cfg.corpus), estimator)
    start = module.encoder.table_VD.detach().clone()
    fit(cfg, module, data, tmp_path)
    assert not torch.equal(module.encoder.table_VD, start)
    assert (estimator.similarity(everything, everything) == before).all()
    weighed = next(iter(data.train_dataloader()))
    gathered = data.on_after_batch_transfer(weighed, 0).similarity_BC
    assert gathered.shape == (16, 16)
    assert not gathered.requires_grad


def test_a_model_is_trained_once_for_all_cells_of_a_sweep(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    sweep = (
        *("-m", *SMALL, f"corpus.root={root}", f"cache={cache}", "weights=trained_model", "seed=1,2"),
        "loss=soft_infonce,weighted_infonce",
    )
    result = run_command("train", tmp_path, *sweep)
    assert result.status == 0, result.errors
    assert result.output.count("training its model once") == 1
    assert result.output.count("model reused, made ") == 3
    assert entries(cache) == {"models": 1, "embeddings": 2}


def test_a_run_is_the_same_with_a_new_and_with_a_cached_teacher(root, tmp_path):
    runs = [
        run_command(
            *(
                "train",
                tmp_path / name,
                *SMALL,
                f"corpus.root={root}",
                "weights=mixture",
                f"cache={tmp_path / 'cache'}",
            ),
            *(word.replace("weights.", "weights.parts.simcse.") for word in SIMCSE),
        )
        for name in ("first", "second")
    ]
    assert [run.status for run in runs] == [0, 0], runs[0].errors
    assert "training its model once" in runs[0].output
    assert "training its model once" not in runs[1].output
    assert "embedding" not in runs[1].output.replace("embeddings of", "")
    first, second = (torch.load(r.run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for r in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_damaged_cache_is_reported_and_does_not_change_the_run(root, tmp_path):
    command = (
        "train",
        tmp_path / "run",
        *SMALL,
        f"corpus.root={root}",
        "weights=trained_model",
        "resume=never",
        f"cache={tmp_path / 'c'}",
    )
    assert run_command(*command).status == 0
    ranks = (tmp_path / "run" / "test_ranks.csv").read_bytes()
    for file in [*(tmp_path / "c").rglob("embeddings.npy"), *(tmp_path / "c").rglob("model.ckpt")]:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        result = run_command(*command)
        assert result.status == 0, result.errors
        assert f"{file.name} is damaged" in result.output.replace("\n", "")
        assert (tmp_path / "run" / "test_ranks.csv").read_bytes() == ranks


def test_a_cached_model_is_reused_until_a_setting_of_its_training_changes(fitted, cache):
    fitted("weights=trained_model")
    before = entries(cache)["models"]
    fitted("weights=trained_model", "seed=2", "data.num_workers=0", "data.eval_batch_size=5")  # nothing that decides
    assert entries(cache)["models"] == before
    fitted("weights=trained_model", "weights.seed=2")
    fitted("weights=trained_model", "optimizer.learning_rate=0.02")
    assert entries(cache)["models"] == before + 2


def test_the_teacher_is_trained_by_the_recipe_of_its_experiment(root, tmp_path):
    """weights=simcse trains what experiment=simcse trains, to the last bit."""
    common = (*QUICK, "corpus=codesearchnet", f"corpus.root={root}", f"cache={tmp_path / 'cache'}")
    explicit = run_command(
        *("train", tmp_path / "explicit", *common, "experiment=simcse", "data.batch_size=16", "trainer.max_epochs=2")
    )
    assert explicit.status == 0, explicit.errors
    implicit = run_command("train", tmp_path / "implicit", *common, "weights=simcse", "data.batch_size=16", *SIMCSE)
    assert implicit.status == 0, implicit.errors
    model = next((tmp_path / "cache" / "models").rglob("model.ckpt"))
    one, other = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (model, explicit.run / "checkpoints" / "best.ckpt")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    recipes = [
        yaml.safe_load(path.read_text()) for path in (model.parent / "config.yaml", explicit.run / "config.yaml")
    ]
    for key in ("model", "optimizer", "negatives", "keep", "loss"):
        assert recipes[0][key] == recipes[1][key]


@pytest.mark.parametrize("kind", ["run", "checkpoint", "folder"])
def test_with_a_given_checkpoint_no_model_is_trained(root, cache, fitted, tmp_path, kind):
    if kind == "folder":
        given = bert(tmp_path / "bert")
    else:
        given = tmp_path / "run"
        assert run_command("train", given, *SMALL, f"corpus.root={root}", "loss=infonce").status == 0
        given = given if kind == "run" else given / "checkpoints" / "best.ckpt"
    before = entries(cache).get("models", 0)
    for weights in ("simcse", "trained_model"):
        _, estimator, _ = fitted(f"weights={weights}", f"weights.checkpoint={given}")
        similarity = estimator.similarity(np.arange(67), np.arange(67))
        assert np.isfinite(similarity).all()
        assert similarity.std() > 0
    assert entries(cache).get("models", 0) == before


def test_the_embeddings_are_left_out_of_a_pickled_estimator(fitted):
    _, estimator, _ = fitted("weights=simcse", *SIMCSE)
    estimator.similarity(np.arange(3), np.arange(3))
    assert len(pickle.dumps(estimator)) < 2000


# Bad input: one line each, and the cache as it was


def bad(root, cache, tmp_path, *overrides):
    before = sorted(Cache(cache).entries())
    result = run_command("train", tmp_path / "bad", *SMALL, f"corpus.root={root}", f"cache={cache}", *overrides)
    assert result.status == 2
    assert result.errors.count("\n") == 1
    assert sorted(Cache(cache).entries()) == before
    return result.errors


def test_a_split_too_small_for_simcse_is_refused_in_one_line(root, cache, tmp_path):
    said = bad(root, cache, tmp_path, "weights=simcse")
    assert "weights=simcse: its model trains in batches of 256, found a training split of 67 pairs" in said
    assert "weights.training.batch_size=16" in said


def test_a_checkpoint_that_does_not_exist_is_reported_under_its_own_option(root, cache, tmp_path):
    said = bad(root, cache, tmp_path, "weights=simcse", f"weights.checkpoint={tmp_path / 'nothing'}")
    assert "weights.checkpoint=" in said
    assert "backbone.name" not in said


def test_a_checkpoint_of_another_size_is_refused_in_one_line(root, cache, tmp_path):
    run = trained(tmp_path / "run", root, "loss=infonce").run
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["encoder.table_VD"] = torch.zeros(11, 1024)
    torch.save(checkpoint, path)
    said = bad(root, cache, tmp_path, "weights=trained_model", f"weights.checkpoint={run}")
    assert "does not fit the model that it describes" in said
    assert "table_VD" in said


def test_a_tokenizer_of_another_model_is_refused_in_one_line(root, cache, tmp_path):
    folder = bert(tmp_path / "bert")
    with (folder / "vocab.txt").open("a") as file:
        file.writelines(f"word{i}\n" for i in range(5))
    said = bad(root, cache, tmp_path, "weights=simcse", f"weights.checkpoint={folder}")
    assert "another model's tokenizer" in said


def test_non_finite_embeddings_are_refused_and_not_cached(root, cache, tmp_path):
    run = trained(tmp_path / "run", root, "loss=infonce").run
    path = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["encoder.table_VD"].fill_(float("nan"))
    torch.save(checkpoint, path)
    said = bad(root, cache, tmp_path, "weights=trained_model", f"weights.checkpoint={run}")
    assert "not finite" in said


def test_simcse_without_dropout_is_refused(root, cache, tmp_path):
    said = bad(
        *(root, cache, tmp_path, "weights=simcse"),
        *("weights.training.batch_size=16", "weights.training.dropout=0.0"),
    )
    assert "needs dropout" in said


def test_a_typo_in_the_training_of_an_estimator_is_refused(root, cache, tmp_path):
    said = bad(root, cache, tmp_path, "weights=simcse", "weights.training.max_epoch=1")
    assert "max_epochs" in said


def test_an_unattached_estimator_asks_to_be_attached():
    estimator = instantiate(configured("weights=simcse").weights)
    with pytest.raises(RuntimeError, match="attach"):
        estimator.fit([])
