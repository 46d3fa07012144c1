"""Pushes and terms against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from src.losses.infonce import InfoNCE
from src.losses.soft_infonce import SoftInfoNCE
from src.study.gradients import push, terms

LOG2, LOG3, LOG4 = math.log(2), math.log(3), math.log(4)
SCORES = torch.tensor([[0.0, LOG2, LOG3]], dtype=torch.float64)  # positive: the second
SIMILARITY = torch.tensor([[LOG4, 9.0, 0.0]], dtype=torch.float64)
POSITIVE = torch.tensor([1])


def test_a_push_is_the_derivative_of_the_loss():
    # e^s = 1, 2, 3: softmax 1/6, 2/6, 3/6
    expected = torch.tensor([[1 / 6, 2 / 6 - 1, 3 / 6]], dtype=torch.float64)
    torch.testing.assert_close(push(InfoNCE(), SCORES, POSITIVE), expected)
    # sigma = 4/5, 1/5; w = (1 - sigma) / (1 - 1/2) = 0.4, 1.6; sum = 0.4 + 2 + 4.8
    expected = torch.tensor([[0.4 / 7.2, 2 / 7.2 - 1, 4.8 / 7.2]], dtype=torch.float64)
    torch.testing.assert_close(push(SoftInfoNCE(1.0, 1.0, 1.0), SCORES, POSITIVE, SIMILARITY), expected)
    assert not SCORES.requires_grad


def test_the_terms_are_those_of_the_formula():
    found = terms(SoftInfoNCE(1.0, 1.0, 1.0), SCORES, POSITIVE, SIMILARITY)
    # Z = 1 + 3, P = 1/4, 3/4; <sigma, P> = 4/20 + 3/20 = 0.35
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"alignment": -LOG2, "uniformity": LOG4, "leaning": math.log((1 - 0.35) / 0.5)}
    )


def test_the_softplus_of_the_summed_terms_is_the_loss():
    generator = torch.Generator().manual_seed(0)
    scores_BC = 3 * torch.randn(5, 7, generator=generator, dtype=torch.float64)
    similarity_BC = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    positive_B = torch.tensor([6, 0, 3, 3, 1])
    loss = SoftInfoNCE(0.7, 1.3, 0.5, min_weight=0.0)
    found = terms(loss, scores_BC, positive_B, similarity_BC)
    torch.testing.assert_close(
        torch.nn.functional.softplus(sum(found.values())), loss(scores_BC, positive_B, similarity_BC)
    )


def test_a_constant_similarity_has_a_leaning_of_zero():
    found = terms(SoftInfoNCE(1.0, 1.0, 1.0), SCORES, POSITIVE, torch.full_like(SCORES, 0.3))
    assert found["leaning"].item() == pytest.approx(0.0, abs=1e-12)
