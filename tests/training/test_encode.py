"""Texts to embeddings: order, copies, and a device that is not there."""

from __future__ import annotations

import numpy as np
import torch
from omegaconf import OmegaConf

from src.data.length_buckets import LengthBucketer
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from src.training.encode import device_of, embed_in_order, embed_texts
from tests.support.doubles import BagEncoder

CFG = OmegaConf.create({"trainer": {"accelerator": "cpu"}, "data": {"eval_batch_size": 2}, "cache": None})


def test_embeddings_come_in_the_order_of_the_texts_and_copies_are_equal():
    torch.manual_seed(0)
    module = CodeSearchModule(BagEncoder(), InfoNCE(), "cosine").train()
    texts = ["a b c", "d", "a b c", "e f", "d", "g h i j"]
    made = embed_texts(module, texts, "code", CFG, "codes")
    assert not module.training
    with torch.inference_mode():
        expected = torch.cat([module.embed(module.encoder.codes([text])) for text in texts])
    torch.testing.assert_close(made, expected)
    assert torch.equal(made[0], made[2])
    assert torch.equal(made[1], made[4])


def test_a_run_from_a_gpu_is_read_on_the_cpu_without_one(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert {str(device_of(name)) for name in ("gpu", "cuda", "auto", "cpu", "mps")} == {"cpu"}


def test_every_distinct_text_is_embedded_once_and_the_caller_is_not_in_inference_mode():
    torch.manual_seed(0)
    module = CodeSearchModule(BagEncoder(), InfoNCE(), "cosine").eval()
    texts = ["a b c", "d", "a b c", "e f", "d", "g h i j"]
    sizes = []

    def embed(side):
        assert torch.is_inference_mode_enabled()
        embeddings_BD = module.embed(side)
        sizes.append(len(embeddings_BD))
        return embeddings_BD

    def allocate(shape):
        assert not torch.is_inference_mode_enabled()
        return np.full(shape, np.nan, np.float32)

    cut = LengthBucketer(module.encoder)
    made_ND = embed_in_order(embed, texts, "code", cut, 2, model="the model", allocate=allocate)
    assert sizes == [2, 2]
    assert np.isfinite(made_ND).all()
