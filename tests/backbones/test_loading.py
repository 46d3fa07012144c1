"""Reading a checkpoint: once, quietly, completely; and one line about what to change where that is not possible."""

from __future__ import annotations

import functools
import io
import json
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub.utils import filter_repo_objects
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from src.backbones import hub
from src.backbones.hub import checkpoint_folder
from src.backbones.transformer import TransformerEncoder
from src.backbones.unixcoder import UniXcoderEncoder
from src.config.checks import check_part
from src.utils.errors import InputError
from tests.backbones import checkpoints
from tests.backbones.checkpoints import HIDDEN, TEXTS


def encoder_of(name: Path | str, pooling: str = "mean", **settings: Any) -> TransformerEncoder:
    return TransformerEncoder(str(name), pooling, **{"max_query_tokens": 17, "max_code_tokens": 23, **settings})


def refusal(load: Callable[[], Any]) -> str:
    """The one line of the InputError that `load` must raise."""
    with pytest.raises(InputError) as caught:
        load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Checkpoints of ours


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        ("roberta", "pooler"),
        ("masked_lm", "mean"),
        ("bert", "cls"),
        ("gpt2", "last"),
        ("t5", "mean"),
        ("unixcoder", "mean"),
    ],
)
def test_assets_and_weights_rebuild_the_encoder_when_folder_and_hub_are_gone(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, pooling: str
) -> None:
    folder = shutil.copytree(folders[kind], tmp_path / kind)
    make = functools.partial(
        UniXcoderEncoder if kind == "unixcoder" else TransformerEncoder, str(folder), pooling, 17, 23
    )
    trained = make()
    trained.fit([])
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1)
    file = io.BytesIO()
    torch.save({"assets": trained.assets(), "state_dict": trained.state_dict()}, file)
    shutil.rmtree(folder)
    monkeypatch.setattr(hub, "snapshot_download", None)

    file.seek(0)
    checkpoint = torch.load(file, weights_only=True)
    restored = make()
    restored.load_assets(checkpoint["assets"])
    restored.load_state_dict(checkpoint["state_dict"])

    assert all(module.training for module in restored.modules())
    assert restored.embedding_size == HIDDEN
    for tokenise in ("queries", "codes"):
        before, after = getattr(trained, tokenise)(TEXTS), getattr(restored, tokenise)(TEXTS)
        assert list(before) == list(after)
        assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        assert torch.equal(trained.eval()(before), restored.eval()(after))
    assert str(tmp_path) not in json.dumps(checkpoint["assets"])
    assert restored.assets() == checkpoint["assets"]


def test_a_tokenizer_that_cuts_the_beginning_still_does_after_a_checkpoint(tmp_path: Path) -> None:
    trained = encoder_of(checkpoints.gpt2(tmp_path / "left", truncation_side="left"))
    trained.fit([])
    restored = encoder_of("gone")
    restored.load_assets(trained.assets())
    long = ["sort a list, then " + "read " * 23]
    assert restored.codes(long)["input_ids"].tolist() == trained.codes(long)["input_ids"].tolist()


# Reading


def test_a_new_encoder_knows_size_and_tokens_without_its_weights_which_are_read_once(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    for part in (transformers.AutoModel, transformers.AutoTokenizer):
        original = part.from_pretrained

        def counting(*args: Any, part: Any = part, original: Any = original, **kwargs: Any) -> Any:
            reads.append(part.__name__)
            return original(*args, **kwargs)

        monkeypatch.setattr(part, "from_pretrained", counting)
    encoder = encoder_of(folders["roberta"])
    assert reads == []
    assert encoder.embedding_size == HIDDEN
    assert encoder.queries(TEXTS)["input_ids"].shape == (len(TEXTS), 17)
    assert reads == ["AutoTokenizer"]
    assert list(encoder.parameters()) == []
    with pytest.raises(RuntimeError, match="fit"):
        encoder(encoder.queries(TEXTS))
    encoder.fit([])
    encoder.fit([])
    assert sorted(reads) == ["AutoModel", "AutoTokenizer"]


def test_loading_a_checkpoint_with_unused_weights_prints_nothing(
    folders: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    transformers.logging.set_verbosity_warning()
    encoder_of(folders["masked_lm"]).fit([])
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""
    assert transformers.logging.get_verbosity() == transformers.logging.WARNING
    assert transformers.logging.is_progress_bar_enabled()


def test_weights_that_only_pickle_can_read_are_not_unpickled(tmp_path: Path) -> None:
    folder = checkpoints.roberta(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    marker = tmp_path / "executed"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Touch(marker)))
    refusal(lambda: encoder_of(folder).fit([]))
    assert not marker.exists()


class _Touch:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_code_in_a_checkpoint_is_not_executed(tmp_path: Path) -> None:
    folder = checkpoints.roberta(tmp_path / "coded")
    marker = tmp_path / "executed"
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w').close()")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(own))
    refusal(lambda: encoder_of(folder).fit([]))
    assert not marker.exists()


# The hub


def test_a_hub_that_is_out_of_reach_is_asked_once_not_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed_port = {"endpoint": "http://127.0.0.1:9", "cache_dir": str(tmp_path)}
    download = functools.partial(huggingface_hub.snapshot_download, **closed_port)
    monkeypatch.setattr(hub, "snapshot_download", download)
    start = time.perf_counter()
    line = refusal(lambda: encoder_of("microsoft/codebert-base").fit([]))
    assert time.perf_counter() - start < 5
    assert "'microsoft/codebert-base'" in line
    assert "the hub did not answer" in line
    assert "backbone.name" in line
    assert "network" in line


def test_an_error_about_the_hub_keeps_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    cause = OSError("no route to host")

    def fail(*args: Any, **kwargs: Any) -> None:
        raise cause

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(InputError) as caught:
        checkpoint_folder("microsoft/codebert-base")
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize(
    ("published", "weights"),
    [
        (["pytorch_model.bin", "tf_model.h5", "rust_model.ot"], {"pytorch_model.bin"}),
        (["model.safetensors", "pytorch_model.bin", "flax_model.msgpack"], {"model.safetensors"}),
    ],
)
def test_one_kind_of_weights_is_downloaded_and_nothing_of_other_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: list[str], weights: set[str]
) -> None:
    small = {"config.json", "vocab.json", "merges.txt", "spiece.model"}
    others = ["README.md", "training_args.bin", "onnx/model.onnx", "onnx/config.json", "openvino/model.safetensors"]

    def download(name: str, allow_patterns: list[str], ignore_patterns: str) -> str:
        for file in filter_repo_objects(
            [*small, *others, *published], allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        ):
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert checkpoint_folder("microsoft/codebert-base") == str(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == small | weights


# What to change


@pytest.mark.parametrize("name", ["/no/such/folder", "no/such/folder", "./checkpoint", "two words"])
def test_a_folder_that_does_not_exist_is_named(name: str) -> None:
    line = refusal(lambda: encoder_of(name).queries(TEXTS))
    assert repr(name) in line
    assert "no such folder" in line


@pytest.mark.parametrize("name", [None, ""])
def test_a_missing_name_is_refused_with_how_to_give_one(name: str | None) -> None:
    assert refusal(lambda: TransformerEncoder(name)) == "backbone=hf needs backbone.name=HUB_NAME_OR_FOLDER"


@pytest.mark.parametrize("files", [{}, {"config.json": "{"}, {"config.json": '{"model_type": "roberta"}'}])
def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path, files: dict[str, str]) -> None:
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    line = refusal(lambda: encoder_of(tmp_path).fit([]))
    assert str(tmp_path) in line
    assert "save_pretrained" in line


def test_missing_weights_are_not_drawn_at_random(tmp_path: Path) -> None:
    folder = checkpoints.roberta(tmp_path / "holes")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    line = refusal(lambda: encoder_of(folder).fit([]))
    assert "lacks 1 of the weights of RobertaModel, such as encoder.layer.1.output.dense.weight" in line


@pytest.mark.parametrize("kind", ["masked_lm", "gpt2"])
def test_a_pooler_that_was_never_trained_is_not_drawn_at_random(folders: dict[str, Path], kind: str) -> None:
    line = refusal(lambda: encoder_of(folders[kind], "pooler").fit([]))
    assert "no trained pooling layer" in line
    assert "backbone.pooling=mean" in line


def test_a_misspelt_pooling_is_refused_with_a_suggestion() -> None:
    node = {"_target_": "src.backbones.transformer.TransformerEncoder", "name": "any", "pooling": "poolr"}
    line = refusal(lambda: check_part("backbone.encoder", OmegaConf.create(node)))
    assert "found 'poolr'" in line
    assert "did you mean 'pooler'?" in line


@pytest.mark.parametrize("kind", ["roberta", "bert", "gpt2"])  # RoBERTa has 66 rows for 64 positions
@pytest.mark.parametrize("key", ["max_query_tokens", "max_code_tokens"])
def test_more_tokens_than_positions_are_refused_before_an_index_error(
    folders: dict[str, Path], kind: str, key: str
) -> None:
    line = refusal(lambda: encoder_of(folders[kind], **{key: 65}).fit([]))
    assert f"{key}=65" in line
    assert "64 tokens" in line
    encoder = encoder_of(folders[kind], **{key: 64})
    encoder.fit([])
    features = (encoder.queries if key == "max_query_tokens" else encoder.codes)(["read sort " * 99])
    assert features["input_ids"].shape == (1, 64)
    assert encoder(features).shape == (1, HIDDEN)


def test_relative_positions_set_no_limit(folders: dict[str, Path]) -> None:
    encoder = encoder_of(folders["t5"], max_code_tokens=1009)
    encoder.fit([])
    assert encoder.codes(["read sort " * 999])["input_ids"].shape == (1, 1009)
