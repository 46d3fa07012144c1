"""The labels of a run name an estimator only where the run has used one."""

from __future__ import annotations

import pytest
import torch

from src.losses.base import Loss
from src.losses.soft_infonce import SoftInfoNCE
from src.runs.identity import is_infonce, needs_similarity, reads_similarity, run_name

RANDOM, SIMILAR = "src.data.samplers.RandomBatches", "src.data.samplers.SimilarBatches"


class PlainLoss(Loss):
    """A loss that reads no similarity, and is not called infonce."""

    def row_losses(self, scores_BC, positive_B, similarity_BC):
        return torch.zeros(len(scores_BC))


PlainLoss.__module__ = "src.losses.soft_infonce"


@pytest.fixture(autouse=True)
def plain_loss(monkeypatch):
    monkeypatch.setattr("src.losses.soft_infonce.PlainLoss", PlainLoss, raising=False)


def config(loss: str, target: str, batching: str = "random", batches: str = RANDOM) -> dict:
    return {
        "choices": {"loss": loss, "weights": "bm25", "batching": batching},
        "loss": {"_target_": target},
        "batching": {"_target_": batches},
    }


PLAIN = config("plain", "src.losses.soft_infonce.PlainLoss")
SOFT = config("soft", "src.losses.soft_infonce.SoftInfoNCE")
INFONCE = config("infonce", "src.losses.infonce.InfoNCE")


@pytest.mark.parametrize(
    ("run", "name"),
    [
        (PLAIN, "plain"),
        (SOFT, "soft bm25"),
        (INFONCE, "infonce"),
        (config("plain", PLAIN["loss"]["_target_"], "similar", SIMILAR), "plain, similar by bm25"),
        (config("soft", SOFT["loss"]["_target_"], "similar", SIMILAR), "soft bm25, similar"),
        (config("plain", PLAIN["loss"]["_target_"], "shuffled", RANDOM), "plain, shuffled"),
    ],
)
def test_a_run_is_named_with_an_estimator_only_where_it_used_one(run, name):
    assert run_name(run) == name
    assert reads_similarity(run) == ("bm25" in name)


def test_a_run_from_before_there_was_a_choice_of_batchings_had_random_batches():
    old = {"choices": {"loss": "infonce", "weights": "bm25"}, "loss": INFONCE["loss"]}
    assert run_name(old) == "infonce"
    assert not reads_similarity(old)


@pytest.mark.parametrize("node", [None, {}, "text", {"_target_": "src.losses.gone.Loss"}, {"_target_": "os.system"}])
def test_a_class_that_is_not_here_may_have_used_the_estimator(node):
    assert needs_similarity(node)


def test_plain_infonce_is_recognised_by_its_class():
    assert is_infonce(config("my_name_for_it", "src.losses.infonce.InfoNCE"))
    assert not is_infonce(config("infonce", "src.losses.soft_infonce.PlainLoss"))
    assert SoftInfoNCE.needs_similarity
