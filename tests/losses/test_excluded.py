"""Excluded columns: every loss must give a row the value of the same row with those columns deleted."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.losses.base import mask_excluded
from src.losses.soft_infonce import SoftInfoNCE
from src.utils.errors import InputError
from tests.losses.cases import LOSSES, SOFTMAX, batch


def shortened(loss, scores_C, positive, similarity_C, excluded_C):
    """The loss of one row whose excluded columns are deleted, (1,)."""
    kept_C = ~excluded_C
    kept_C[positive] = True
    place = kept_C[:positive].sum()[None]
    try:
        loss.check_negatives(int(kept_C.sum()) - 1)
    except InputError:
        loss = LOSSES["infonce"]  # what the row becomes, by the contract
    return loss(scores_C[kept_C][None], place, similarity_C[kept_C][None])


@pytest.mark.parametrize("name", list(LOSSES))
@given(
    st.integers(1, 7),
    st.integers(3, 11),
    st.integers(0, 10_000),
    st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([0.3, 3.0, 300.0]),
)
def test_an_excluded_column_counts_as_deleted(name, B, C, seed, share, scale):
    scores, positive, similarity = batch(B, C, seed, scale)
    excluded = torch.rand(B, C, generator=torch.Generator().manual_seed(seed)) < share  # the positive too, at times
    similarity = (10 * similarity - 5).round() / 5  # ties and negative values
    scores.requires_grad_()
    value = LOSSES[name](scores, positive, similarity, excluded)
    value.sum().backward()
    gradient, scores.grad = scores.grad, None
    rows = zip(scores, positive.tolist(), similarity, excluded)
    expected = torch.cat([shortened(LOSSES[name], *row) for row in rows])
    expected.sum().backward()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, scores.grad, rtol=1e-12, atol=1e-12)
    is_positive = torch.nn.functional.one_hot(positive, C).bool()
    assert (gradient[excluded & ~is_positive] == 0).all()


@pytest.mark.parametrize("name", list(LOSSES))
def test_the_values_of_an_excluded_column_have_no_effect(name):
    scores, positive, similarity = batch(B=5, C=7, seed=13)
    excluded = torch.rand(5, 7, generator=torch.Generator().manual_seed(1)) < 0.4
    expected = LOSSES[name](scores, positive, similarity, excluded)
    is_out = excluded & ~torch.nn.functional.one_hot(positive, 7).bool()
    for wild in (1e300, -1e300, math.inf, math.nan):
        wild_scores = scores.masked_fill(is_out, wild).requires_grad_()
        value = LOSSES[name](wild_scores, positive, similarity.masked_fill(is_out, wild), excluded)
        value.sum().backward()
        assert torch.equal(value, expected)
        assert torch.isfinite(wild_scores.grad).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", list(LOSSES))
def test_excluding_nothing_changes_no_bit(name, dtype):
    scores, positive, similarity = batch(B=11, C=13, seed=17, scale=5)
    nothing = torch.zeros(11, 13, dtype=torch.bool)
    values = [LOSSES[name](scores.to(dtype), positive, similarity, excluded) for excluded in (None, nothing)]
    assert torch.equal(*values)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("name", list(SOFTMAX))
def test_a_row_whose_negatives_are_all_excluded_has_zero_loss_and_gradient(name, scale):
    scores = scale * torch.tensor([[1.0, -1.0, 0.5], [0.0, 1.0, 0.0]])
    scores.requires_grad_()
    everything = torch.ones(2, 3, dtype=torch.bool)
    value = LOSSES[name](scores, torch.tensor([1, 1]), 1e6 * scores.detach(), everything)
    value.sum().backward()
    assert (value == 0).all()
    assert (scores.grad == 0).all()


@pytest.mark.parametrize("t", [-0.5, 0.5])
def test_the_softmax_over_similarities_ignores_excluded_columns(t):
    # The row's other similarities are ln 1 and ln 3: sigma = [1/10, 9/10] at t = 1/2, reversed at -1/2; n = 2
    similarity = torch.tensor([[9.0, 0.0, 77.0, math.log(3), -77.0]], dtype=torch.float64)
    positive = torch.tensor([0])
    excluded = torch.tensor([[True, False, True, False, True]])
    loss = SoftInfoNCE(alpha=1.0, beta=2.0, weight_temperature=t)
    weights = loss.negative_weights(mask_excluded(similarity, excluded, positive), positive)
    less, more = (2 - 0.1) / 1.5, (2 - 0.9) / 1.5
    ends = [less, more] if t > 0 else [more, less]
    torch.testing.assert_close(weights[:, [0, 1, 3]], torch.tensor([[1.0, *ends]], dtype=torch.float64))


def test_a_row_left_with_too_few_negatives_is_weighted_as_infonce():
    # beta = 0.4 > alpha / 3, but not > alpha / 2: the second row weighs as InfoNCE, the first keeps its weights
    loss = SoftInfoNCE(alpha=1.0, beta=0.4, weight_temperature=1.0, min_weight=0.1)
    similarity = torch.tensor([[0.0, 0.0, 0.0, 9.0]]).expand(2, 4)
    positive = torch.tensor([0, 0])
    excluded = torch.tensor([[False] * 4, [False, True, False, False]])
    weights = loss.negative_weights(mask_excluded(similarity, excluded, positive), positive)
    torch.testing.assert_close(weights[1], torch.ones(4))
    assert weights[0, 3].item() == pytest.approx(0.1)
    assert weights[0, 1].item() == pytest.approx(6.0, rel=1e-2)  # 0.4 / (0.4 - 1/3)
    with pytest.raises(InputError, match="n=2 negatives"):
        loss.check_negatives(2)


def test_a_mask_of_another_shape_or_type_is_refused():
    scores, positive, similarity = batch(B=3, C=5)
    with pytest.raises(InputError, match=r"expected \(3, 5\), found torch\.bool \(1, 5\)"):
        LOSSES["infonce"](scores, positive, None, torch.zeros(1, 5, dtype=torch.bool))
    with pytest.raises(InputError, match=r"found torch\.int64"):
        LOSSES["bce"](scores, positive, similarity, torch.zeros(3, 5, dtype=torch.int64))
