"""Exports read back by their own libraries give our embeddings, or are refused in one line."""

from __future__ import annotations

import importlib.util
import json
import os

import pytest
import torch

from src.deploy.export import hf_format, onnx_format, st_format
from src.deploy.export.parity import PROBES, SIDES, check, embeddings
from src.export import write
from src.utils.errors import InputError
from tests.deploy.export.kinds import makers

SLOW_IN_ONNX = ("lora", "gpt2", "two_towers")  # tracing takes ten seconds each
TRANSFORMERS = ("bert", "first dimensions", "lora", "roberta", "unixcoder", "gpt2", "qwen", "t5", "modernbert")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    return makers(tmp_path_factory.mktemp("checkpoints"))


def needs(*packages: str):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed (pip install -e '.[export]')")


with_sentences = needs("sentence_transformers")
with_onnx = needs("onnx", "onnxscript", "onnxruntime")


@with_sentences
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [*TRANSFORMERS, "tiny", "two_towers"])
def test_sentence_transformers_gives_the_same_embeddings(kind, make, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformer

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    module = make[kind]()
    write("sentence_transformers", module, tmp_path / "out")
    there = SentenceTransformer(str(tmp_path / "out"), device="cpu", trust_remote_code=kind == "tiny")
    texts = {side: [*PROBES[side], *(["", "word"] if kind not in ("gpt2",) else [])] for side in SIDES}
    for side, encode in (("query", there.encode_query), ("code", there.encode_document)):
        ours_BD = embeddings(module, texts[side], side)
        theirs_BD = torch.from_numpy(encode(texts[side]))
        length = max(1.0, float(ours_BD.norm(dim=1).max()))
        torch.testing.assert_close(theirs_BD / length, ours_BD / length, atol=1e-5, rtol=0)
        assert len({tuple(row) for row in (ours_BD / length).round(decimals=4).tolist()}) >= 4  # not all alike
    assert there.similarity_fn_name == module.similarity
    names = {}
    exec(st_format.snippet(module, str(tmp_path / "out")), names)
    assert names["queries"].shape == (1, module.encoder.embedding_size)
    assert there.get_embedding_dimension() == module.encoder.embedding_size


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_the_lines_of_the_model_card_give_the_same_embeddings(kind, make, tmp_path, monkeypatch):
    module = make[kind]()
    assert write("hf", module, tmp_path / "out") <= 1e-5
    names = {}
    exec(hf_format.snippet(module, str(tmp_path / "out")), names)
    for side in SIDES:
        settings = hf_format.sides(module.encoder)[side]
        ours_BD = embeddings(module, PROBES[side], side)
        theirs_BD = names["embed"](list(PROBES[side]), settings["prefix"], settings["max_tokens"])
        length = max(1.0, float(ours_BD.norm(dim=1).max()))
        torch.testing.assert_close(theirs_BD / length, ours_BD / length, atol=1e-5, rtol=0)


@with_onnx
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["bert", "tiny", *(pytest.param(k, marks=pytest.mark.slow) for k in SLOW_IN_ONNX)])
def test_onnxruntime_gives_the_same_embeddings_at_any_batch_size(kind, make, tmp_path, monkeypatch):
    module = make[kind]()
    assert write("onnx", module, tmp_path) <= 1e-5
    for texts in (["x"], ["a b", "c"] * 5):  # other numbers of texts and tokens than the graph was made with
        read = onnx_format.reading(module, tmp_path)
        for side in SIDES:
            ours_BD = embeddings(module, texts, side)
            length = max(1.0, float(ours_BD.norm(dim=1).max()))
            torch.testing.assert_close(read(texts, side) / length, ours_BD / length, atol=1e-5, rtol=0)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(onnx_format.snippet(module, "."), names)
    assert names["queries"].shape == (1, module.encoder.embedding_size)
    settings = json.loads((tmp_path / "encoder.json").read_text())
    assert settings["similarity"] == module.similarity


def test_a_model_that_a_format_cannot_hold_is_refused_without_writing_weights(make, tmp_path):
    refused = {
        "graphcodebert": ("sentence_transformers", "hf", "onnx"),
        "tiny": ("hf",),
        "two_towers": ("hf",),
    }
    for kind, formats in refused.items():
        module = make[kind]()
        for format in formats:
            if format != "hf" and importlib.util.find_spec("sentence_transformers") is None:
                continue
            with pytest.raises(InputError, match=f"format={format} (cannot hold|holds)") as told:
                write(format, module, tmp_path / kind)
            assert "export" in str(told.value)
            assert not (tmp_path / kind / "model.safetensors").exists()


def test_an_export_with_different_embeddings_is_refused(make):
    module = make["tiny"]()

    def shifted(texts, side):
        embeddings_BD = embeddings(module, texts, side).clone()
        embeddings_BD[-1, -1] += 3e-5
        return embeddings_BD

    assert check(module, lambda texts, side: embeddings(module, texts, side), "format=x") == 0
    with pytest.raises(InputError, match=r"largest difference 3\.0e-05, expected at most 1e-05"):
        check(module, shifted, "format=x")
    with pytest.raises(InputError, match="gives different embeddings"):
        check(module, lambda texts, side: embeddings(module, texts, side) * torch.nan, "format=x")
    with pytest.raises(InputError, match="of shape"):
        check(module, lambda texts, side: embeddings(module, texts, side)[:, :-1], "format=x")


@with_sentences
def test_exported_code_needs_trust_remote_code_and_imports_nothing_of_src(make, tmp_path):
    from sentence_transformers import SentenceTransformer

    st_format.write(make["tiny"](), tmp_path / "out")
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        SentenceTransformer(str(tmp_path / "out"))
    assert "src" not in {line.split()[1].split(".")[0] for line in imports(tmp_path / "out" / "tiny_bag.py")}


def imports(path: os.PathLike) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
