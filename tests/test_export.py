"""The command: from a finished run to a folder that others load, or one line."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import run_command, trained
from tests.support.doubles import write_corpus

pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = write_corpus(tmp_path_factory.mktemp("corpus"))
    return trained(tmp_path_factory.mktemp("run") / "it", root).run


@pytest.mark.filterwarnings("ignore")
def test_a_finished_run_becomes_a_model_with_its_card(finished, tmp_path):
    out = tmp_path / "out"
    result = run_command("export", tmp_path / "log", f"run={finished}", f"out={out}")
    assert result.status == 0, result.errors
    assert "read back by sentence-transformers, embeddings differ by at most 0.0e+00" in result.output
    assert {"README.md", "modules.json", "model.safetensors", "tiny_bag.py"} <= {path.name for path in out.iterdir()}
    card = (out / "README.md").read_text()
    mrr = json.loads((finished / "metrics.json").read_text())["test/mrr"]
    assert "library_name: sentence-transformers" in card
    assert f"{mrr:.3f}" in card
    assert "SentenceTransformer('.', trust_remote_code=True)" in card
    assert json.loads((tmp_path / "log" / "export.json").read_text())["largest_difference"] == 0
    again = run_command("export", tmp_path / "log", f"run={finished}", f"out={out}")
    assert again.status == 2
    assert "is not empty" in again.errors


def test_a_refusal_is_one_line_and_leaves_nothing_behind(finished, tmp_path):
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "status.json").write_text('{"status": "interrupted"}')
    cases = {
        (): "expected run=DIR",
        ("run=nowhere",): "run directory nowhere does not exist",
        (f"run={tmp_path}",): "did not finish (no readable status.json)",
        (f"run={unfinished}",): "did not finish (interrupted)",
        (f"run={finished}", "format=onx"): "found 'onx'; did you mean 'onnx'?",
        (f"run={finished}", "format=hf"): "format=hf holds a model of transformers, which TinyEncoder is not",
        (f"run={finished}", "push=model"): "push expects owner/name",
    }
    for options, message in cases.items():
        result = run_command("export", tmp_path / "log", *options, f"out={tmp_path / 'out'}")
        assert result.status == 2, options
        assert message in result.errors
        assert len(result.errors.splitlines()) == 1, result.errors
        assert not list(tmp_path.glob("*out*"))
