"""A run's model without Lightning: the same embeddings, and refusals in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from src.deploy.encoder import Model
from src.deploy.index.query_options import unread_words
from src.training.build import read_module
from src.utils.errors import InputError
from tests.conftest import PROJECT
from tests.deploy.index.runs import write_run

TEXTS = ["open a file", "def f(x): return 1", ""]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("model") / "run")


def test_embeddings_are_those_of_the_run(run) -> None:
    model, module = Model.load(str(run)), read_module(run / "checkpoints" / "best.ckpt").eval()
    with torch.inference_mode():
        expected_BD = module.embed(module.encoder.codes(TEXTS))
        query_D = module.embed(module.encoder.queries(TEXTS[:1]))[0]
    torch.testing.assert_close(model.embed(model.encoder.codes(TEXTS)), expected_BD)
    torch.testing.assert_close(torch.from_numpy(model.query(TEXTS[0])), query_D)
    assert model.name == "soft_infonce bm25 on tiny"


def test_two_models_have_different_identities_and_one_model_has_the_same(run, tmp_path) -> None:
    model = Model.load(str(run))
    assert model.identity == Model.load(None, str(run / "checkpoints" / "best.ckpt")).identity
    assert model.identity != Model.load(str(write_run(tmp_path / "other", seed=1))).identity


@pytest.mark.parametrize("status", ["running", "failed", None])
def test_an_unfinished_run_is_refused_unless_its_checkpoint_is_given(tmp_path, status) -> None:
    run = write_run(tmp_path / "run")
    (run / "status.json").write_text(json.dumps({"status": status}) if status else "{")
    with pytest.raises(InputError, match="did not finish"):
        Model.load(str(run))
    assert Model.load(None, str(run / "checkpoints" / "best.ckpt"))


def test_a_model_that_is_not_given_or_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="expected run=DIR"):
        Model.load(None)
    with pytest.raises(InputError, match="run directory nowhere does not exist"):
        Model.load("nowhere")


def test_a_long_query_is_reported_with_the_words_that_the_model_reads(run) -> None:
    model = Model.load(str(run))  # of which a query has 64 sub-tokens
    assert unread_words(model, "open the file") == ""
    words = [f"word{chr(97 + number % 26)}" for number in range(64)]
    assert unread_words(model, " ".join(words)) == ""
    assert unread_words(model, " ".join([*words[:63], "camelCase", "never"])).startswith(
        "the model reads the first 64 words of the query's 65, up to 'camelCase'"
    )


def test_a_search_imports_no_heavy_package() -> None:
    heavy = ("lightning", "transformers", "scipy", "pandas", "matplotlib", "tree_sitter")
    imports = "import sys, src.search, src.deploy.index.searcher, src.backbones.tiny"
    code = f"{imports}; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
