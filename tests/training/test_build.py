"""From a configuration to objects: what the keys of conf/trainer that are ours do."""

from __future__ import annotations

import re

import lightning as L
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict

from src.config.compose import compose_config
from src.training.build import compile_encoder
from src.training.fit import build_model_and_data
from src.training.preflight import check_bases, check_batching
from src.utils.errors import InputError
from tests.support.doubles import BagEncoder, ListCorpus


def fitted(tmp_path, *overrides: str) -> tuple[L.LightningModule, list[torch.Tensor]]:
    """A tiny encoder after two epochs of the main job's own trainer, and its weights."""
    sizes = ("backbone.encoder.embedding_size=17", "backbone.encoder.buckets=101", "data.batch_size=11")
    cfg = compose_config("train", ["loss=infonce", "weights=none", *sizes, "trainer.max_epochs=2", *overrides])
    with open_dict(cfg):
        cfg.data.num_workers = 0
    module, data = build_model_and_data(cfg, ListCorpus())
    trainer = instantiate(
        cfg.trainer, logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
        default_root_dir=str(tmp_path), log_every_n_steps=1, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return module, [parameter.detach() for parameter in module.parameters()]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradient_caching_trains_the_same_weights(tmp_path, precision: str) -> None:
    common = (f"trainer.precision={precision}", "trainer.accumulate_grad_batches=2")
    _, whole = fitted(tmp_path, *common)
    module, cached = fitted(tmp_path, *common, "trainer.grad_cache_chunk=3")
    assert module.gradient_caching
    assert module.trainer.datamodule.chunk == 3
    for parameter, expected in zip(cached, whole):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-5)


def test_compiling_keeps_embeddings_and_the_names_of_weights() -> None:
    torch.manual_seed(0)
    encoder, seen = BagEncoder(), []
    expected_BD = encoder(encoder.codes(["def read(x)", "x"]))
    names = list(encoder.state_dict())
    compile_encoder(encoder, False)
    assert encoder._compiled_call_impl is None
    torch.compiler.reset()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoder, "compile", lambda **options: seen.append(options))
        compile_encoder(encoder, True)
    assert seen == [{"backend": "inductor", "dynamic": True}]
    compile_encoder(encoder, "eager")
    torch.testing.assert_close(encoder(encoder.codes(["def read(x)", "x"])), expected_BD)
    assert list(encoder.state_dict()) == names
    with pytest.raises(InputError, match=r"trainer\.compile must be false, true or one of .* found 'inducter'; did"):
        compile_encoder(encoder, "inducter")


def test_a_group_larger_than_its_pool_is_refused():
    cfg = compose_config("train", ["batching=similar", "batching.group=5", "batching.pool=4"])
    with pytest.raises(InputError, match=r"batching\.group=5: expected at most the items of batching\.pool=4"):
        check_batching(cfg)


@pytest.mark.parametrize(
    ("key", "base", "other"),
    [
        ("loss", "src.losses.base.Loss", "src.weights.none.NoEstimator"),
        ("weights", "src.weights.base.Estimator", "src.losses.infonce.InfoNCE"),
        ("batching", "src.data.samplers.Batching", "src.losses.infonce.InfoNCE"),
        ("backbone.encoder", "src.backbones.base.Encoder", "src.losses.infonce.InfoNCE"),
    ],
)
def test_a_part_of_another_base_class_is_refused(key, base, other):
    cfg = compose_config("train", ())
    check_bases(cfg)
    OmegaConf.update(cfg, f"{key}._target_", other)
    with pytest.raises(InputError, match=rf"{key}: expected a subclass of {re.escape(base)} "):
        check_bases(cfg)
