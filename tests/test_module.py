"""The LightningModule: scores, optimiser groups, schedule, and evaluation through a real trainer."""

from __future__ import annotations

import lightning as L
import numpy as np
import pytest
import torch

from src.datamodule import CodeSearchData
from src.losses.infonce import InfoNCE
from src.losses.soft_infonce import SoftInfoNCE
from src.module import CodeSearchModule
from src.weights.bm25 import BM25Estimator
from tests.support.doubles import BagEncoder, ListCorpus


def trainer(tmp_path, **options) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        **options,
    )


def module(**options) -> CodeSearchModule:
    torch.manual_seed(0)
    return CodeSearchModule(BagEncoder(), InfoNCE(), **{"learning_rate": 0.01, **options})


def test_cosine_and_dot_scores_equal_the_hand_computed_ones():
    queries, codes = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0], [6.0, 8.0]])
    encoder = BagEncoder(embedding_size=2)
    encoder.forward = lambda features: features["x"]
    cosine = CodeSearchModule(encoder, InfoNCE(), similarity="cosine", score_scale=20.0)
    torch.testing.assert_close(
        cosine.score(cosine.embed({"x": queries}), cosine.embed({"x": codes})), torch.tensor([[16.0, 20.0]])
    )
    dot = CodeSearchModule(encoder, InfoNCE(), similarity="dot", score_scale=1.0)
    torch.testing.assert_close(
        dot.score(dot.embed({"x": queries}), dot.embed({"x": codes})), torch.tensor([[8.0, 50.0]])
    )


def test_scores_keep_float32_precision_under_autocast():
    m = module()
    queries, codes = torch.randn(3, 17), torch.randn(5, 17)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = m.score(queries, codes)
    assert torch.equal(scores, queries @ codes.T)


def test_biases_and_norms_are_not_decayed(tmp_path):
    m = module(weight_decay=0.1)
    t = trainer(tmp_path, max_epochs=1)
    t.fit(m, datamodule=CodeSearchData(ListCorpus(), m.encoder, batch_size=11))
    decayed, kept = t.optimizers[0].param_groups
    assert decayed["weight_decay"] == 0.1
    assert kept["weight_decay"] == 0.0
    assert all(p.ndim > 1 for p in decayed["params"])
    assert {id(p) for p in kept["params"]} == {id(m.encoder.norm.weight), id(m.encoder.norm.bias)}
    assert len(decayed["params"]) + len(kept["params"]) == len(list(m.parameters()))


def test_the_learning_rate_warms_up_and_decays_to_zero(tmp_path):
    m = module(learning_rate=0.5, warmup=0.25)
    seen = []

    class Watch(L.Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    # 23 pairs in batches of 11: two steps an epoch, 8 in all, of which 2 warm up
    t = trainer(tmp_path, max_epochs=4, callbacks=[Watch()])
    t.fit(m, datamodule=CodeSearchData(ListCorpus(), m.encoder, batch_size=11))
    expected = [0.0, 0.25, 0.5, 0.5 * 5 / 6, 0.5 * 4 / 6, 0.5 * 3 / 6, 0.5 * 2 / 6, 0.5 / 6]
    assert seen == pytest.approx(expected)
    assert t.optimizers[0].param_groups[0]["lr"] == 0


@pytest.mark.parametrize("eval_batch_size", [1, 3, 64])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_ranks_of_an_evaluation_equal_the_naive_loop(tmp_path, similarity, eval_batch_size):
    corpus, m = ListCorpus(), module(similarity=similarity)
    m.eval()
    trainer(tmp_path).test(
        m, datamodule=CodeSearchData(corpus, m.encoder, eval_batch_size=eval_batch_size), verbose=False
    )
    split = corpus.split("test")
    with torch.no_grad():
        queries = m.embed(m.encoder.queries([pair.query for pair in split.pairs]))
        codes = m.embed(m.encoder.codes(split.codebase.codes))
        scores = (queries @ codes.T).numpy()
    naive = []
    for row, positive in zip(scores, split.positives):
        others = np.delete(row, positive)
        naive.append(1 + np.sum(others > row[positive] + 1e-6) + 0.5 * np.sum(abs(others - row[positive]) <= 1e-6))
    assert m.test_ranks.tolist() == naive


def test_validation_ranks_against_the_validation_split(tmp_path):
    corpus, m = ListCorpus(), module()
    metrics = trainer(tmp_path).validate(m, datamodule=CodeSearchData(corpus, m.encoder), verbose=False)[0]
    valid = corpus.split("valid")
    with torch.no_grad():
        scores = (
            m.embed(m.encoder.queries([p.query for p in valid.pairs]))
            @ m.embed(m.encoder.codes(valid.codebase.codes)).T
        )
    own = scores.gather(1, torch.tensor(valid.positives)[:, None])
    assert metrics["val/mrr"] == pytest.approx((1 / (1 + (scores > own).sum(1))).mean().item(), abs=1e-6)
    assert 0 <= metrics["val/alignment"] <= 4
    assert -4 <= metrics["val/uniformity"] <= 0


def test_training_lowers_the_loss_and_raises_the_mrr(tmp_path):
    m = module(similarity="cosine", score_scale=10.0, learning_rate=0.05)
    t = trainer(tmp_path, max_epochs=15)
    data = CodeSearchData(ListCorpus(), m.encoder, batch_size=23)
    before = trainer(tmp_path).validate(m, datamodule=data, verbose=False)[0]["val/mrr"]
    t.fit(m, datamodule=data)
    assert t.callback_metrics["train/loss"] < 0.5  # ln 23 = 3.1 at random
    assert t.callback_metrics["val/mrr"] > before


def test_blocks_of_rows_train_the_same_model(tmp_path, monkeypatch):
    def trained(loss_block, small: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr("src.utils.lazy_matrix.SMALL", small)
        torch.manual_seed(0)
        loss = SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=0.5)
        m = CodeSearchModule(BagEncoder().double(), loss, "cosine", 10.0, loss_block, learning_rate=0.05)
        data = CodeSearchData(ListCorpus(), m.encoder, BM25Estimator(), mask_duplicates=True, batch_size=11)
        trainer(tmp_path, max_epochs=2).fit(m, datamodule=data)
        return m.state_dict()

    whole, blocks = trained(None, small=2**20), trained(3, small=20)
    for name, value in whole.items():
        torch.testing.assert_close(blocks[name], value, rtol=1e-4, atol=1e-5)
