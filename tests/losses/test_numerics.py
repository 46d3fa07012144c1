"""Extreme scores, half precision, tiny batches: losses and gradients stay finite and right."""

from __future__ import annotations

import pytest
import torch

from src.losses.bce import BCE
from src.losses.infonce import InfoNCE
from src.losses.soft_infonce import SoftInfoNCE
from src.losses.weighted_infonce import WeightedInfoNCE
from src.utils.errors import InputError
from tests.losses.cases import LOSSES, batch


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_and_gradient_is_finite(name, scale, dtype):
    base = torch.tensor([[1.0, -1.0, 0.5, 0.0, -0.25], [-1.0, 1.0, 1.0, -0.5, 0.0], [0.0, 0.0, -1.0, 1.0, -1.0]])
    scores = (scale * base).to(dtype).requires_grad_()
    for positive in ([0, 0, 0], [1, 1, 2], [4, 3, 3]):
        for similarity in (torch.zeros(3, 5), 1e6 * base, torch.eye(5)[:3]):
            scores.grad = None
            value = LOSSES[name](scores, torch.tensor(positive), similarity)
            value.sum().backward()
            assert torch.isfinite(value).all()
            assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("name", list(LOSSES))
def test_half_precision_scores_give_a_float32_loss(name):
    scores, positive, similarity = batch(B=5, C=7, seed=2, scale=3)
    half = scores.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = LOSSES[name](half, positive, similarity)
    assert value.dtype == torch.float32
    expected = LOSSES[name](half.double(), positive, similarity).float()
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)


def test_infonce_keeps_its_gradient_where_the_positive_scores_far_below():
    scores = torch.tensor([[-1000.0, 0.0, 0.0]], requires_grad=True)
    value = InfoNCE()(scores, torch.tensor([0]))
    value.sum().backward()
    assert value.item() == pytest.approx(1000 + 0.6931472)
    assert scores.grad[0, 0].item() == -1.0  # the published code's log(p + 1e-15) has gradient 0 here


def test_binary_cross_entropy_is_not_clamped_at_one_hundred():
    scores = torch.tensor([[0.0, 400.0, 0.0]], dtype=torch.float64)
    value = BCE(1.0)(scores, torch.tensor([0]), torch.tensor([[0.0, 0.0, 100.0]], dtype=torch.float64))
    # row: y = [1, 0, 1]; log p = [-400, 0, -400]; log(1 - p_1) = log 2 - 400
    assert value.item() == pytest.approx((400 + (400 - 0.6931471805599453) + 400) / 3, rel=1e-12)


def test_a_tiny_temperature_does_not_overflow():
    similarity = torch.tensor([[0.0, 3e38, -3e38]])
    loss = SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=1e-8)
    value = loss(torch.zeros(1, 3), torch.tensor([0]), similarity)
    assert value.item() == pytest.approx(torch.log(torch.tensor(1 + 0.1 + 2.0)).item())


@pytest.mark.parametrize("t", [-0.5, 0.5])
def test_a_negative_temperature_reverses_the_order_of_the_weights(t):
    similarity = torch.tensor([[0.0, 1.0, 0.0]])
    weights = SoftInfoNCE(1.0, 2.0, t).negative_weights(similarity, torch.tensor([0]))
    assert (weights[0, 1] < weights[0, 2]) == (t > 0)


@pytest.mark.parametrize("name", ["infonce", "weighted_infonce", "bce", "kl_regularized", "cancel_top_k"])
def test_a_row_without_negatives_has_zero_loss_and_a_finite_gradient(name):
    scores = torch.tensor([[3.0]], requires_grad=True)
    value = LOSSES[name](scores, torch.tensor([0]), torch.tensor([[1.0]]))
    value.sum().backward()
    assert value.item() == 0
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize(
    ("alpha", "beta", "n"), [(1.0, 1.0, 1), (1.0, 0.5, 2), (5.0, 1.0, 3), (1.0, 0.0, 7), (1.0, 1.0, 0)]
)
def test_a_beta_of_at_most_alpha_over_n_is_refused(alpha, beta, n):
    loss = SoftInfoNCE(alpha=alpha, beta=beta, weight_temperature=1.0)
    with pytest.raises(InputError, match=f"beta={beta:g}, alpha={alpha:g}, n={n} negatives"):
        loss(torch.zeros(1, n + 1), torch.tensor([0]), torch.zeros(1, n + 1))


def test_an_unclipped_negative_weight_is_refused():
    similarity = torch.tensor([[0.0, 0.0, 9.0]])
    loss = SoftInfoNCE(alpha=1.5, beta=1.0, weight_temperature=1.0, min_weight=0.0)
    with pytest.raises(InputError, match="min_weight=0 needs every weight"):
        loss(torch.zeros(1, 3), torch.tensor([0]), similarity)
    flat = SoftInfoNCE(alpha=1.5, beta=1.0, weight_temperature=100.0, min_weight=0.0)
    assert torch.isfinite(flat(torch.zeros(1, 3), torch.tensor([0]), similarity)).all()


def test_bad_shapes_and_options_are_refused():
    scores, positive, similarity = torch.zeros(3, 5), torch.tensor([0, 1, 2]), torch.zeros(3, 5)
    with pytest.raises(InputError, match="choose an estimator"):
        LOSSES["soft_infonce"](scores, positive)
    with pytest.raises(InputError, match=r"expected \(3, 5\), found \(5, 3\)"):
        LOSSES["soft_infonce"](scores, positive, similarity.T)
    with pytest.raises(InputError, match=r"expected shape \(3,\), found \(2,\)"):
        LOSSES["infonce"](scores, positive[:2])
    with pytest.raises(InputError, match="must not be 0"):
        WeightedInfoNCE(weight_temperature=0)
    with pytest.raises(InputError, match=r"0 or more, found -0\.1"):
        SoftInfoNCE(1, 1, 1, min_weight=-0.1)
    for options in ({"top_k": 1, "threshold": 0.5}, {"top_k": -1}):
        with pytest.raises(InputError):
            type(LOSSES["cancel_top_k"])(**options)
