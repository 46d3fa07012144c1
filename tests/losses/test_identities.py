"""What must hold for any scores: slow scalar loops, the identities of the losses, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.losses.base import negative_softmax
from src.losses.bce import BCE
from src.losses.false_negative_cancellation import FalseNegativeCancellation
from src.losses.infonce import InfoNCE
from src.losses.kl_regularized import KLRegularized
from src.losses.soft_infonce import SoftInfoNCE
from src.losses.weighted_infonce import WeightedInfoNCE
from tests.losses import reference
from tests.losses.cases import LOSSES, SOFTMAX, batch

SHAPES = st.tuples(st.integers(1, 7), st.integers(3, 11), st.integers(0, 10_000))


def rows(scores, positive, similarity):
    return zip(scores.tolist(), positive.tolist(), similarity.tolist())


@settings(deadline=None, max_examples=40)
@given(SHAPES, st.floats(0.2, 3), st.floats(0, 2), st.floats(0.05, 5))
def test_every_vectorised_loss_equals_its_scalar_loop(shape, scale, alpha, t):
    B, C, seed = shape
    scores, positive, similarity = batch(B, C, seed, scale)
    beta = alpha / (C - 1) + 0.5
    pairs = [
        (InfoNCE(), lambda s, p, sim: reference.infonce(s, p)),
        (SoftInfoNCE(alpha, beta, t), lambda s, p, sim: reference.soft_infonce(s, p, sim, alpha, beta, t)),
        (WeightedInfoNCE(t), lambda s, p, sim: reference.weighted_infonce(s, p, sim, t)),
        (BCE(t), lambda s, p, sim: reference.bce(s, p, sim, t)),
        (KLRegularized(alpha, beta, t), lambda s, p, sim: reference.kl_regularized(s, p, sim, alpha, beta, t)),
        (
            FalseNegativeCancellation(top_k=2),
            lambda s, p, sim: reference.false_negative_cancellation(s, p, sim, top_k=2),
        ),
        (
            FalseNegativeCancellation(threshold=0.7),
            lambda s, p, sim: reference.false_negative_cancellation(s, p, sim, threshold=0.7),
        ),
    ]
    for loss, slow in pairs:
        expected = torch.tensor([slow(*row) for row in rows(scores, positive, similarity)], dtype=torch.float64)
        torch.testing.assert_close(loss(scores, positive, similarity), expected, rtol=1e-10, atol=1e-10)


def test_soft_weights_and_their_loss_equal_the_hand_computed_values():
    # similarity / t = [-, ln 1, ln 3]: sigma = [1/4, 3/4]; n = 2, beta - alpha / n = 1.5
    similarity = torch.tensor([[9.0, 0.0, math.log(3)]], dtype=torch.float64)
    loss = SoftInfoNCE(alpha=1.0, beta=2.0, weight_temperature=1.0)
    expected = torch.tensor([[1.0, 1.75 / 1.5, 1.25 / 1.5]], dtype=torch.float64)
    torch.testing.assert_close(loss.negative_weights(similarity, torch.tensor([0])), expected)
    scores = torch.tensor([[0.0, math.log(3), math.log(6)]], dtype=torch.float64)
    value = loss(scores, torch.tensor([0]), similarity).item()
    assert value == pytest.approx(math.log(1 + 3 * 1.75 / 1.5 + 6 * 1.25 / 1.5), abs=1e-14)


def test_weights_are_clipped_at_the_floor():
    similarity = torch.tensor([[0.0, 0.0, 50.0]], dtype=torch.float64)  # sigma = [0, 1]: w = [2, 0]
    for floor in (0.1, 0.25, 0.0):
        loss = SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=1.0, min_weight=floor)
        expected = torch.tensor([[1.0, 2.0, floor]], dtype=torch.float64)
        torch.testing.assert_close(loss.negative_weights(similarity, torch.tensor([0])), expected)


@settings(deadline=None, max_examples=40)
@given(SHAPES, st.floats(0.1, 3), st.floats(0.05, 5))
def test_unclipped_weights_average_to_one(shape, alpha, t):
    B, C, seed = shape
    _, positive, similarity = batch(B, C, seed)
    is_positive = torch.nn.functional.one_hot(positive, C).bool()
    loss = SoftInfoNCE(alpha=alpha, beta=alpha + 0.5, weight_temperature=t, min_weight=0.0)
    weights = loss.negative_weights(similarity, positive)
    mean = weights.masked_fill(is_positive, 0).sum(1) / (C - 1)
    torch.testing.assert_close(mean, torch.ones_like(mean))


@settings(deadline=None, max_examples=25)
@given(SHAPES, st.floats(0.5, 100))
def test_alpha_zero_constant_similarity_and_top_k_zero_give_infonce(shape, scale):
    B, C, seed = shape
    scores, positive, similarity = batch(B, C, seed, scale)
    plain = InfoNCE()(scores, positive)
    assert torch.equal(SoftInfoNCE(0.0, 1.0, 0.5)(scores, positive, similarity), plain)
    constant = torch.full_like(similarity, 0.3)
    torch.testing.assert_close(SoftInfoNCE(1.0, 1.5, 0.5)(scores, positive, constant), plain, rtol=1e-12, atol=1e-12)
    assert torch.equal(FalseNegativeCancellation(top_k=0)(scores, positive, similarity), plain)
    torch.testing.assert_close(KLRegularized(0.0, 1.0, 0.5)(scores, positive, similarity), plain)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_row_does_not_depend_on_other_rows(name):
    scores, positive, similarity = batch(B=7, C=11, seed=3)
    whole = LOSSES[name](scores, positive, similarity)
    some = torch.tensor([5, 1])
    torch.testing.assert_close(LOSSES[name](scores[some], positive[some], similarity[some]), whole[some])


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_order_of_columns_leaves_a_loss_unchanged(name):
    scores, positive, similarity = batch(B=3, C=7, seed=5)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    moved = order.argsort()[positive]  # the column where each positive went
    before = LOSSES[name](scores, positive, similarity)
    torch.testing.assert_close(LOSSES[name](scores[:, order], moved, similarity[:, order]), before)


@pytest.mark.parametrize("name", list(SOFTMAX))
def test_a_constant_added_to_the_scores_leaves_a_loss_unchanged(name):
    scores, positive, similarity = batch(B=3, C=7, seed=6)
    before = LOSSES[name](scores, positive, similarity)
    torch.testing.assert_close(LOSSES[name](scores + 123.0, positive, similarity), before)


@pytest.mark.parametrize("name", list(SOFTMAX))
def test_the_similarity_of_the_positive_does_not_affect_a_loss(name):
    if name == "cancel_threshold":
        pytest.skip("the threshold is defined relative to the positive's own similarity")
    scores, positive, similarity = batch(B=3, C=5, seed=7)
    moved = similarity.scatter(1, positive[:, None], 1e6)
    assert torch.equal(LOSSES[name](scores, positive, moved), LOSSES[name](scores, positive, similarity))


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_gradient_equals_the_numerical_derivative(name):
    scores, positive, similarity = batch(B=3, C=5, seed=8)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](s, positive, similarity), scores)


def test_a_weight_scales_the_gradient_of_its_negative():
    # d loss / d s_j = w_j e^{s_j} / (e^{s_p} + sum_k w_k e^{s_k})
    scores, positive, similarity = batch(B=1, C=5, seed=9)
    scores.requires_grad_()
    loss = SoftInfoNCE(1.0, 1.1, 0.1)
    loss(scores, positive, similarity).sum().backward()
    is_positive = torch.nn.functional.one_hot(positive, 5).bool()
    pushed = loss.negative_weights(similarity, positive) * scores.detach().exp()
    share = pushed / pushed.sum()
    torch.testing.assert_close(scores.grad[~is_positive], share[~is_positive])


def test_no_gradient_flows_into_the_similarity():
    scores, positive, similarity = batch()
    scores.requires_grad_()
    similarity.requires_grad_()
    LOSSES["soft_infonce"](scores, positive, similarity).sum().backward()
    assert similarity.grad is None
    assert scores.grad is not None


def test_the_softmax_over_negatives_excludes_the_positive():
    _, positive, similarity = batch(B=3, C=5)
    is_positive = torch.nn.functional.one_hot(positive, 5).bool()
    sigma = negative_softmax(similarity, positive, 0.3)
    assert (sigma[is_positive] == 0).all()
    torch.testing.assert_close(sigma.sum(1), torch.ones(3, dtype=torch.float64))
    row = reference.sigma(similarity[1].tolist(), positive[1].item(), 0.3)
    for column, value in row.items():
        assert sigma[1, column].item() == pytest.approx(value, abs=1e-14)


def test_the_closed_form_of_the_loss_and_its_lower_bound_hold():
    # sum_j w_j e^{s_j} = Z (beta - alpha <sigma, P>) / (beta - alpha / n) for unclipped weights
    alpha, beta, t = 0.8, 1.4, 0.6
    scores, positive, similarity = batch(B=3, C=7, seed=11)
    is_positive = torch.nn.functional.one_hot(positive, 7).bool()
    value = SoftInfoNCE(alpha, beta, t, min_weight=0.0)(scores, positive, similarity)
    sigma = negative_softmax(similarity, positive, t)
    exp_s = scores.exp().masked_fill(is_positive, 0)
    z = exp_s.sum(1)
    overlap = (sigma * exp_s).sum(1) / z
    s_p = scores.gather(1, positive[:, None])[:, 0]
    weighted = z * (beta - alpha * overlap) / (beta - alpha / 6)
    torch.testing.assert_close(value, -s_p + (s_p.exp() + weighted).log())
    assert (value >= -s_p + weighted.log()).all()
