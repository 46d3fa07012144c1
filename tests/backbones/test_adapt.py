"""LoRA, frozen layers, gradient checkpointing, attention and types: what trains, and what must not change."""

from __future__ import annotations

import copy
import importlib.util
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.backbones import adapt
from src.backbones.architecture import layer_stack
from src.backbones.graphcodebert import GraphCodeBERTEncoder
from src.backbones.transformer import TransformerEncoder
from src.config.checks import check_part
from src.runs.restore import restore_encoder
from src.utils.errors import InputError
from tests.backbones import checkpoints
from tests.backbones.checkpoints import LAYERS, TEXTS
from tests.backbones.test_configs import composed
from tests.support.commands import QUICK, run_command
from tests.support.doubles import write_corpus

pytest.importorskip("peft", reason="peft is not installed (pip install -e '.[lora]')")

# Of each architecture: pooling, and linear layers in each of its layers (Qwen: q, k, v, o, gate, up, down).
KINDS = {
    "roberta": ("pooler", 6),
    "bert": ("mean", 6),
    "gpt2": ("last", 4),
    "t5": ("mean", 6),
    "modernbert": ("cls", 4),
    "qwen3": ("last", 7),
}
RANK = 3


def encoder_of(folder: Path, pooling: str = "mean", **settings: Any) -> TransformerEncoder:
    encoder = TransformerEncoder(str(folder), pooling, 17, 23, dropout=None, **settings)
    encoder.fit([])
    return encoder


def lora_of(folders: dict[str, Path], kind: str, **settings: Any) -> TransformerEncoder:
    return encoder_of(folders[kind], KINDS[kind][0], lora={"rank": RANK}, **settings)


def moved(encoder: TransformerEncoder) -> TransformerEncoder:
    """After some training, as it were: LoRA starts as no change at all."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return encoder


def embedded(encoder: TransformerEncoder) -> torch.Tensor:
    with torch.no_grad():
        return encoder.eval()(encoder.codes(TEXTS))


def loss_of(encoder: TransformerEncoder) -> torch.Tensor:
    return encoder(encoder.codes(TEXTS)).square().sum()


# LoRA


@pytest.mark.parametrize("kind", KINDS)
def test_lora_trains_its_own_matrices_alone_and_reaches_every_layer(folders: dict[str, Path], kind: str) -> None:
    encoder = lora_of(folders, kind)
    loss_of(encoder).backward()
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name for name in trained)
    assert {name for name, parameter in encoder.named_parameters() if parameter.grad is not None} == trained
    pooler = KINDS[kind][0] == "pooler"
    assert len(trained) == 2 * (LAYERS * KINDS[kind][1] + pooler)  # A and B
    assert {min(encoder.get_parameter(name).shape) for name in trained} == {RANK}


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_lora_changes_no_embedding(folders: dict[str, Path], kind: str) -> None:
    plain = encoder_of(folders[kind], KINDS[kind][0])
    torch.testing.assert_close(embedded(lora_of(folders, kind)), embedded(plain), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_embeds_as_the_adapted_one(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    encoder = moved(lora_of(folders, kind))
    expected = embedded(encoder)
    assert (expected - embedded(encoder_of(folders[kind], KINDS[kind][0]))).abs().max() > 1e-3
    merged = encoder.merge()
    assert [name for name, _ in merged.named_modules() if "lora" in name] == []
    assert torch.equal(embedded(encoder), expected)  # the encoder itself is as it was
    if kind != "t5":  # whose encoder alone is no checkpoint of its configuration
        merged.save_pretrained(tmp_path / "merged")
        encoder.tokenizer.save_pretrained(tmp_path / "merged")
        exported = encoder_of(tmp_path / "merged", KINDS[kind][0])
        torch.testing.assert_close(embedded(exported), expected, atol=1e-5, rtol=1e-5)
    plain = encoder_of(folders[kind], KINDS[kind][0])
    plain.model.load_state_dict(merged.state_dict())
    torch.testing.assert_close(embedded(plain), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_restores_lora(folders: dict[str, Path], kind: str, dtype: str) -> None:
    encoder = moved(lora_of(folders, kind, dtype=dtype))
    file = io.BytesIO()
    torch.save({"assets": encoder.assets(), "state_dict": encoder.state_dict()}, file)
    file.seek(0)
    held = torch.load(file, weights_only=True)
    restored = TransformerEncoder("gone", KINDS[kind][0], 17, 23, lora={"rank": RANK}, dtype=dtype)
    restored.load_assets(held["assets"])
    restored.load_state_dict(held["state_dict"])
    assert torch.equal(embedded(restored), embedded(encoder))


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_holds_only_the_frozen_weights_and_keeps_embeddings_close(folders: dict[str, Path], kind: str) -> None:
    encoder = lora_of(folders, kind, dtype="bfloat16")
    types = {(parameter.requires_grad, parameter.dtype) for parameter in encoder.parameters()}
    assert types == {(True, torch.float32), (False, torch.bfloat16)}
    loss_of(encoder).backward()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters() if parameter.requires_grad)
    close = torch.nn.functional.cosine_similarity(
        embedded(encoder).float(), embedded(encoder_of(folders[kind], KINDS[kind][0]))
    )
    assert close.min() > 0.98
    assert {parameter.dtype for parameter in encoder.merge().parameters()} == {torch.float32}


def test_lora_of_chosen_layers_reaches_no_others(folders: dict[str, Path]) -> None:
    encoder = encoder_of(folders["bert"], lora={"rank": 2, "alpha": 6, "targets": ["query", "value"]})
    names = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    assert len(names) == LAYERS * 2 * 2
    assert all(".query." in name or ".value." in name for name in names)
    layer = encoder.model.encoder.layer[0].attention.self.query
    assert layer.scaling == {"default": 3.0}


def test_graphcodebert_trains_with_lora_and_truncated_embeddings(tmp_path: Path) -> None:
    folder = checkpoints.roberta(tmp_path / "roberta")
    encoder = GraphCodeBERTEncoder(str(folder), "python", "pooler", 17, 23, 8, dimensions=11, lora={"rank": RANK})
    encoder.fit([])
    embeddings_BD = encoder(encoder.codes(["def f(a):\n    b = a\n    return b"] * 2))
    assert embeddings_BD.shape == (2, 11)
    embeddings_BD.square().sum().backward()
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in encoder.parameters())


# Frozen layers, gradient checkpointing, attention


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_layer_does_not_train_and_a_free_one_does(folders: dict[str, Path], kind: str) -> None:
    encoder = encoder_of(folders[kind], KINDS[kind][0], frozen_layers=1)
    loss_of(encoder).backward()
    first, second = layer_stack(encoder.model)
    assert all(parameter.grad is None for parameter in first.parameters())
    assert all(parameter.grad is not None for parameter in second.parameters())
    assert all(parameter.grad is None for parameter in encoder.model.get_input_embeddings().parameters())
    tables = [m for m in encoder.modules() if isinstance(m, torch.nn.Embedding)]
    assert all(table.weight.grad is None for table in tables)


@pytest.mark.parametrize("settings", [{}, {"frozen_layers": 1}, {"lora": {"rank": RANK}}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_changes_no_gradient(
    folders: dict[str, Path], kind: str, settings: dict[str, Any]
) -> None:
    plain = encoder_of(folders[kind], KINDS[kind][0], **settings)
    thrifty = encoder_of(folders[kind], KINDS[kind][0], gradient_checkpointing=True, **settings)
    thrifty.load_state_dict(plain.state_dict())
    runs = []
    for module in layer_stack(thrifty.model)[-1].modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_: runs.append(1))
    for encoder in (plain, thrifty):
        with torch.random.fork_rng():
            torch.manual_seed(3)  # dropout is on
            loss = loss_of(encoder)
            forward = len(runs)
            loss.backward()
    assert len(runs) > 1.5 * forward  # the last layer ran again
    for (name, before), after in zip(plain.named_parameters(), thrifty.parameters()):
        assert (before.grad is None) == (after.grad is None), name
        if before.grad is not None:
            torch.testing.assert_close(after.grad, before.grad, atol=1e-4, rtol=1e-4)


def test_the_tokenisation_of_a_gradient_checkpointed_encoder_can_be_pickled(folders: dict[str, Path]) -> None:
    encoder = lora_of(folders, "qwen3", gradient_checkpointing=True)
    assert pickle.loads(pickle.dumps(encoder.codes))(TEXTS)["input_ids"].shape[0] == len(TEXTS)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_requested_attention_is_used_and_restored(folders: dict[str, Path], attention: str) -> None:
    encoder = encoder_of(folders["bert"], attn_implementation=attention)
    assert encoder.model.config._attn_implementation == attention
    restored = TransformerEncoder("gone", "mean", 17, 23, attn_implementation=attention)
    restored.load_assets(copy.deepcopy(encoder.assets()))
    assert restored.model.config._attn_implementation == attention
    torch.testing.assert_close(embedded(encoder), embedded(encoder_of(folders["bert"])), atol=1e-5, rtol=0)


# Bad input

BAD = {
    "lora.rank: expected a whole number of 1 or more or null, found 0": {"lora": {"rank": 0}},
    "found 2.5": {"lora": {"rank": 2.5}},
    "lora.alpha: expected a number above 0 or null, found 0": {"lora": {"rank": 2, "alpha": 0}},
    "lora.dropout: expected a number of 0 or more and below 1, found 1.0": {"lora": {"rank": 2, "dropout": 1.0}},
    "no linear layer 'qury'; expected auto, .*did you mean 'query'": {"lora": {"rank": 2, "targets": ["qury"]}},
    "dtype: expected float32 or bfloat16, found 'bfloat'.*did you mean 'bfloat16'": {"dtype": "bfloat"},
    "also set backbone.lora.rank=16": {"dtype": "bfloat16"},
    "attn_implementation: expected sdpa, eager, .*found 'flash'": {"attn_implementation": "flash"},
    "frozen_layers: expected a whole number of 0 or more, found -1": {"frozen_layers": -1},
    f"has {LAYERS} layers": {"frozen_layers": LAYERS + 1},
    "leaves nothing": {"frozen_layers": LAYERS},
    "set backbone.encoder.frozen_layers=0": {"frozen_layers": 1, "lora": {"rank": 2}},
}


@pytest.mark.parametrize("said", BAD)
def test_a_meaningless_adaptation_is_refused_in_one_line(folders: dict[str, Path], said: str) -> None:
    node = {"_target_": "src.backbones.transformer.TransformerEncoder", "name": "any", **BAD[said]}
    with pytest.raises(InputError, match=said) as caught:
        check_part("backbone.encoder", OmegaConf.create(node))
        encoder_of(folders["bert"], **BAD[said])
    assert "\n" not in str(caught.value)


def test_lora_without_peft_names_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    with pytest.raises(InputError, match=r"needs peft, an optional extra: pip install -e '\.\[lora\]'"):
        TransformerEncoder("any", lora={"rank": 16})
    TransformerEncoder("any")


def test_flash_attention_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "is_flash_attn_2_available", lambda: False)
    with pytest.raises(InputError, match="needs a CUDA device and the package flash-attn"):
        TransformerEncoder("any", attn_implementation="flash_attention_2")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_checkpoint_with_code_of_its_own_is_refused(tmp_path: Path, file: str) -> None:
    folder = checkpoints.qwen(tmp_path / "qwen")
    role = "AutoModel" if file == "config.json" else "AutoTokenizer"
    text = (folder / file).read_text()
    (folder / file).write_text(text.rstrip().removesuffix("}") + f', "auto_map": {{"{role}": "own.Own"}}}}')
    with pytest.raises(InputError, match=rf"{file}: {role} from 'own.Own'\), and such code is never run") as caught:
        TransformerEncoder(str(folder)).queries(TEXTS)
    assert "\n" not in str(caught.value)


# From the command line


def test_a_lora_run_is_evaluated_to_its_own_ranks_and_starts_another_training(tmp_path: Path) -> None:
    folder, root = checkpoints.bert(tmp_path / "bert"), write_corpus(tmp_path / "corpus")
    own = ["backbone=minilm", f"backbone.name={folder}", "backbone.lora.rank=4", "backbone.encoder.max_query_tokens=16"]
    own += ["backbone.encoder.max_code_tokens=32", "optimizer.learning_rate=0.01", "data.batch_size=16"]
    own += [*QUICK, "trainer.max_epochs=1", "corpus=codesearchnet", f"corpus.root={root}"]
    own += ["weights=none", "loss=infonce"]
    trained = run_command("train", tmp_path / "run", *own)
    assert trained.status == 0, trained.errors
    folder.rename(tmp_path / "elsewhere")  # the checkpoint holds all that it needs
    again = run_command("eval", tmp_path / "eval", f"run={tmp_path / 'run'}")
    assert again.status == 0, again.errors
    assert "identical ranks for all" in again.output
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    further = run_command("train", tmp_path / "on", *own, f"checkpoint={best}")
    assert further.status == 0, further.errors
    other = run_command("train", tmp_path / "off", *own, f"checkpoint={best}", "backbone.lora.rank=8")
    assert other.status == 2
    assert "lora is {'rank': 4" in other.errors


def test_a_checkpoint_from_before_an_option_existed_passes_the_comparison_of_settings(folders: dict[str, Path]) -> None:
    cfg = composed("backbone=hf", f"backbone.name={folders['bert']}", "backbone.encoder.frozen_layers=1")
    encoder = instantiate(cfg.backbone.encoder)
    before = {key: cfg.backbone.encoder[key] for key in ("_target_", "name", "pooling")}
    before |= {key: cfg.backbone.encoder[key] for key in ("max_query_tokens", "max_code_tokens")}
    before |= {"query_prefix": "", "code_prefix": "", "dropout": 0.5}
    checkpoint = {"run_config": {"backbone": {"encoder": before}}}
    checkpoint["encoder_assets"] = encoder_of(folders["bert"]).assets()
    with pytest.raises(InputError, match="max_query_tokens=128"):  # past the comparison: 64 positions
        restore_encoder(encoder, checkpoint, cfg, "old.ckpt")
