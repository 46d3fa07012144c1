"""What is logged about speed and weights."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from src.loggers.wandb import FaultTolerantWandbLogger
from src.losses.base import effective_negatives
from src.losses.infonce import InfoNCE
from src.losses.soft_infonce import SoftInfoNCE
from src.training.callbacks import NegativeWeights, Throughput
from src.utils.lazy_matrix import LazyMatrix


def test_effective_negatives_are_kishs():
    weights = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 0.0, 0.0], [1.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert effective_negatives(weights).tolist() == pytest.approx([4.0, 2.0, 4 / 1.5, 0.0])


def watched(loss, similarity, step=10, positive=torch.tensor([0, 1])):  # noqa: B008
    logged = {}
    module = SimpleNamespace(
        loss=loss,
        log_dict=lambda values, **_: logged.update(values),
        log=lambda name, value, **_: logged.update({name: value}),
    )
    trainer = SimpleNamespace(global_step=step, log_every_n_steps=10, loggers=[])
    batch = SimpleNamespace(similarity_BC=similarity, positive_B=positive, excluded_BC=None)
    NegativeWeights().on_train_batch_end(trainer, module, None, batch, 0)
    return logged


def test_the_positive_is_left_out_of_the_logged_weights():
    # row 0: sigma = [-, 1, 0], row 1: sigma = [1/2, -, 1/2]; w = 2 (1 - sigma), floor 0.1
    similarity = torch.tensor([[5.0, 90.0, 0.0], [0.0, 5.0, 0.0]])
    logged = watched(SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=1.0), similarity)
    assert logged["weights/mean"].item() == pytest.approx((0.1 + 2 + 1 + 1) / 4)
    assert logged["weights/min"].item() == pytest.approx(0.1)
    assert logged["weights/share_clipped"].item() == 0.25
    assert logged["weights/effective_negatives"].item() == pytest.approx((2.1**2 / 4.01 + 2) / 2)


def test_a_loss_without_weights_or_a_step_between_logs_nothing():
    assert watched(InfoNCE(), torch.zeros(2, 3)) == {}
    assert watched(SoftInfoNCE(1.0, 1.0, 1.0), torch.zeros(2, 3), step=11) == {}


def test_only_some_weights_of_a_large_batch_are_made_for_a_log(monkeypatch):
    monkeypatch.setattr("src.utils.lazy_matrix.SMALL", 10)
    similarity = torch.tensor([[5.0, 90.0, 0.0], [0.0, 5.0, 0.0]]).repeat(8, 1)
    asked = []

    def make(rows: slice) -> torch.Tensor:
        asked.append(rows)
        return similarity[rows]

    loss = SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=1.0)
    logged = watched(loss, LazyMatrix(make, (16, 3)), positive=torch.tensor([0, 1]).repeat(8))
    assert asked == [slice(3)]  # 10 // 3
    assert logged["weights/mean"].item() == pytest.approx((0.1 + 2 + 1 + 1 + 0.1 + 2) / 6)


def test_starting_workers_and_validating_do_not_count_as_training(monkeypatch):
    clock = iter([100.0, 101.0, 103.0, 900.0, 904.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    trainer, module = SimpleNamespace(global_step=1, log_every_n_steps=10, world_size=1), None
    throughput = Throughput()
    for batches in (3, 2):  # two epochs; validation lies between 103 and 900
        throughput.on_train_epoch_start(trainer, module)
        for _ in range(batches):
            throughput.on_train_batch_end(trainer, module, None, SimpleNamespace(positive_B=torch.zeros(7)), 0)
    assert throughput.pairs_per_second == 21 / 7


def test_a_short_run_logs_a_histogram_at_its_first_logged_step(tmp_path):
    class Logger(FaultTolerantWandbLogger):
        def __init__(self):
            self.steps = []

        def log_histogram(self, name, values, step):
            assert values.shape == (4,)
            self.steps.append(step)

    logger, callback = Logger(), NegativeWeights(histogram_every=5)
    module = SimpleNamespace(loss=SoftInfoNCE(1.0, 1.0, 1.0), log_dict=lambda *_, **__: None, log=lambda *_, **__: None)
    batch = SimpleNamespace(similarity_BC=torch.rand(2, 3), positive_B=torch.tensor([0, 1]), excluded_BC=None)
    for step in range(1, 49):
        trainer = SimpleNamespace(global_step=step, log_every_n_steps=8, loggers=[logger])
        callback.on_train_batch_end(trainer, module, None, batch, 0)
    assert logger.steps == [8, 48]
