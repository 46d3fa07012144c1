"""Cached results carry a version that is raised by hand; each test makes a small one and compares it with one kept.

A test that fails says what to do: what the caches and run directories of users hold is not what this code makes.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import open_dict

from src.config.compose import compose_config
from src.corpora.harvester.pipeline import harvest, plan
from src.runs.identity import identity
from src.training.build import build_estimator, build_loss
from src.training.guide_models import EMBEDDINGS, attach_guide_models
from src.utils.disk_cache import Cache, read_about
from tests.backbones.checkpoints import TEXTS, roberta
from tests.corpora.harvester.trees import WORDS, write
from tests.golden.sources import SOURCES
from tests.support.doubles import write_corpus
from tests.support.encoders import CODES, QUERIES, makers

TOKENS = {
    "tiny": "d5d3ad9323ba9b9e",
    "roberta": "c5d8d6b8a8a14cf5",
    "qwen": "4c29e9fc768b729f",
    "unixcoder": "1e4ca7a98ff7ed24",
    "graphcodebert": "d28def469e1184be",
}
ROWS = {
    "go": "c763a98c814108ac",
    "java": "49ba464326982a2d",
    "javascript": "a69d96b38377d229",
    "php": "e31b541be802e25e",
    "python": "0be7bb84176e1986",
    "ruby": "4791a1540fbcfc60",
}
MODEL = [[0.0009, -0.0522, -0.0975, 0.0187], [0.0226, -0.0559, -0.0371, 0.0049], [0.022, -0.0037, 0.0119, 0.0431]]
SENTENCE_ENCODER = [
    [0.1532, 0.1682, 0.1427, -0.2417],
    [0.1537, 0.1704, 0.145, -0.2431],
    [0.1526, 0.1704, 0.1419, -0.2403],
]
TOLERANCE = 2e-3  # processors round otherwise
# Of the versions up to now; an unfinished run or a finished cell is found by it.
IDENTITIES = {
    "8f0f74222edbbbb1": (),
    "d74391cce7abfad4": ("loss=infonce",),
    "342c5b5aab208044": ("loss=infonce", "batching=similar"),
    "d3b91cf7eccb148e": ("corpus=codesearchnet", "corpus.root=corpus", "lang=all"),
    "a26b159181811abd": ("backbone=unixcoder", "trainer=gpu"),
    "a8d71428dd55d3c6": ("weights=mixture", "data.batch_size=16"),
    "b7f887cd017f40ef": ("trainer=ddp", "logger=csv", "cache=null"),
    "66308e41bdeafa3d": ("corpus=harvest", "corpus.roots=[tree]", "corpus.workers=2"),
    "4aa23d6a77dd0ea4": ("experiment=simcse",),
}


def changed(what: str, version: str, place: str, found: object) -> str:
    return f"{what} changed. If that is meant, raise {version} and put the new value into {place}: {found}"


@pytest.mark.parametrize("kind", TOKENS)
def test_an_encoder_gives_the_tokens_of_its_version(kind, tmp_path):
    encoder = makers(tmp_path)[kind]()
    encoder.fit(())
    digest = hashlib.sha256()
    for side, texts in {"query": QUERIES, "code": [*CODES, *TEXTS]}.items():
        for name, (values, starts) in sorted(encoder.tokenise(texts, side).columns.items()):
            digest.update(f"{side} {name} {np.asarray(values).tolist()} {np.asarray(starts).tolist()}".encode())
    found = digest.hexdigest()[:16]
    place = f"TOKENS[{kind!r}]"
    assert found == TOKENS[kind], changed("The tokens", "data/token_cache.TOKENS_VERSION", place, found)


@pytest.mark.parametrize("language", sorted(SOURCES))
def test_the_harvester_gives_the_rows_of_its_version(language, tmp_path):
    suffix, source = SOURCES[language]
    for word in WORDS:
        write(tmp_path / "tree" / word / f"{word}{suffix}", source.replace("NAME", word))
    harvest(plan(language, [tmp_path / "tree"]), tmp_path / "out", workers=0)
    files = [tmp_path / "out" / language / f"{name}.jsonl" for name in ("train", "valid", "test", "codebase")]
    assert sum(file.read_bytes().count(b"\n") for file in files[:3]) >= 2 * len(WORDS) - 1
    found = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    place = f"ROWS[{language!r}]"
    assert found == ROWS[language], changed("The rows", "harvester/pipeline.HARVEST_VERSION", place, found)


def embedded(root, cache, *overrides: str) -> list[list[float]]:
    """The beginnings of some embeddings that an estimator's guide model leaves in the cache."""
    options = ("corpus=codesearchnet", f"corpus.root={root}", f"cache={cache}", "trainer.accelerator=cpu")
    cfg = compose_config("train", [*options, *overrides])
    with open_dict(cfg):
        cfg.choices = {"backbone": "tiny", "corpus": "codesearchnet", "lang": "python", "loss": "soft_infonce"}
        cfg.trainer.logger = False
    estimator = build_estimator(cfg, build_loss(cfg))
    attach_guide_models(estimator, cfg)
    estimator.fit(instantiate(cfg.corpus).split("train").pairs)
    folder = next(path for path in Cache(cache).entries() if "as query" in read_about(path)["about"])
    return np.load(folder / EMBEDDINGS)[:3, :4].astype(float).round(4).tolist()


def test_a_recipe_trains_the_model_of_its_version(tmp_path):
    root = write_corpus(tmp_path / "corpus", train=40)
    training = ("weights.training.batch_size=16", "weights.training.max_epochs=1")  # two steps
    found = embedded(root, tmp_path / "cache", "weights=trained_model", "data.batch_size=16", *training)
    said = changed("The model", "training/guide_models.MODELS_VERSION", "MODEL", found)
    np.testing.assert_allclose(found, MODEL, atol=TOLERANCE, err_msg=said)


def test_a_model_gives_the_embeddings_of_its_version(tmp_path):
    root = write_corpus(tmp_path / "corpus", train=16)
    given = ("weights=simcse", "data.batch_size=16", f"weights.checkpoint={roberta(tmp_path / 'roberta')}")
    found = embedded(root, tmp_path / "cache", *given)
    said = changed("The embeddings", "training/guide_models.EMBEDDINGS_VERSION", "SENTENCE_ENCODER", found)
    np.testing.assert_allclose(found, SENTENCE_ENCODER, atol=TOLERANCE, err_msg=said)


@pytest.mark.parametrize(("expected", "overrides"), IDENTITIES.items())
def test_a_configuration_has_the_identity_that_it_always_had(expected, overrides):
    found = identity(compose_config("train", overrides))
    assert found == expected, (
        f"{found} is another identity of {overrides}: unfinished runs and finished cells of sweeps are not found any "
        "more. A renamed class belongs into config/targets.MOVED, a key that changes no result is marked NO_RESULT; "
        "where the same configuration gives another result, put the new value into IDENTITIES and raise "
        "sweeps/sweeper.NAMES_VERSION"
    )
