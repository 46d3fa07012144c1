"""The toy's information is the closed form's, and log N - L says of it what theory says."""

from __future__ import annotations

import math

import pytest
import torch

from src.study.toy import (
    Gaussians,
    contrast,
    estimate,
    limit,
    met_scores,
    mrr,
    shuffled,
    trained_critic,
    true_log_weights,
    weightings,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_information_is_the_closed_form():
    assert Gaussians(1, 0.6).information == pytest.approx(-0.5 * math.log(0.64))
    assert Gaussians(3, -0.6).information == pytest.approx(-1.5 * math.log(0.64))
    toy = Gaussians.with_information(2.5, dimensions=5)
    assert toy.information == pytest.approx(2.5)
    assert toy.correlation == pytest.approx(math.sqrt(1 - math.exp(-1)))


def test_the_log_ratio_is_that_of_the_densities():
    toy = Gaussians(2, 0.6)
    queries_BD, codes_BKD = torch.randn(3, 2, generator=seeded()), torch.randn(3, 5, 2, generator=seeded(1))
    normal = torch.distributions.Normal
    conditional = normal(0.6 * queries_BD[:, None], 0.8).log_prob(codes_BKD).sum(dim=2)
    marginal = normal(0.0, 1.0).log_prob(codes_BKD).sum(dim=2)
    torch.testing.assert_close(toy.log_ratio(queries_BD, codes_BKD), conditional - marginal)


def test_right_answers_are_drawn_from_the_joint_distribution():
    toy = Gaussians(1, 0.6)
    queries_BD = toy.queries(20_000, seeded())
    codes_BD = toy.codes(queries_BD, 1, seeded(1))[:, 0]
    both_2N = torch.stack([queries_BD[:, 0], codes_BD[:, 0]])
    torch.testing.assert_close(both_2N.cov(), torch.tensor([[1.0, 0.6], [0.6, 1.0]]), atol=0.03, rtol=0)


def test_the_share_of_planted_false_negatives_is_the_given_one():
    made = contrast(Gaussians(3, 0.7), 400, 50, 0.1, seeded())
    assert made.is_right_BC[:, 0].all()
    assert made.is_right_BC[:, 1:].float().mean() == pytest.approx(0.1, abs=0.01)
    right, other = made.log_ratio_BC[made.is_right_BC].mean(), made.log_ratio_BC[~made.is_right_BC].mean()
    assert right > 0.5 > 0 > other
    assert not contrast(Gaussians(3, 0.7), 5, 7, 0.0, seeded()).is_right_BC[:, 1:].any()


def test_equal_scores_give_no_information():
    made = contrast(Gaussians(2, 0.5), 11, 7, 0.0, seeded())
    assert estimate(made, torch.zeros(11, 8))[0] == pytest.approx(0.0, abs=1e-6)
    half = torch.full((11, 8), math.log(0.5)).index_fill(1, torch.tensor(0), 0.0)
    # log 8 - log(1 + 7 / 2)
    assert estimate(made, torch.zeros(11, 8), half)[0] == pytest.approx(math.log(8 / 4.5), abs=1e-6)


def test_clean_negatives_reach_the_information_from_below():
    toy = Gaussians.with_information(1.0, 4)
    values = [estimate(m := contrast(toy, 4000, n, 0.0, seeded(n)), m.log_ratio_BC) for n in (7, 511)]
    (few, _), (many, error) = values
    assert few < many
    assert many == pytest.approx(1.0, abs=3 * error)
    few_candidates = contrast(Gaussians.with_information(8.0, 4), 500, 7, 0.0, seeded())
    assert estimate(few_candidates, few_candidates.log_ratio_BC)[0] <= math.log(8)


def test_planted_false_negatives_hide_information():
    toy = Gaussians.with_information(2.0, 4)
    assert limit(toy, 0.0, 20_000, seeded()) == pytest.approx(2.0, abs=0.05)
    assert limit(toy, 1.0, 100, seeded()) == pytest.approx(0.0, abs=1e-5)
    hidden = limit(toy, 0.2, 20_000, seeded())
    assert 0 < hidden < min(2.0, math.log(5))
    made = contrast(toy, 4000, 511, 0.2, seeded(1))
    value, error = estimate(made, met_scores(made))
    assert value == pytest.approx(hidden, abs=0.02 + 3 * error)


def test_true_weights_recover_the_information():
    toy = Gaussians.with_information(1.5, 4)
    made = contrast(toy, 4000, 511, 0.2, seeded())
    log_weights_BC = true_log_weights(made)
    assert (log_weights_BC[:, 0] == 0).all()
    assert log_weights_BC[:, 1:].exp().mean() == pytest.approx(1.0, abs=0.01)
    value, error = estimate(made, made.log_ratio_BC, log_weights_BC)
    assert value == pytest.approx(1.5, abs=0.02 + 3 * error)


def test_shuffled_weights_are_permuted_within_the_negatives_of_a_row():
    log_weights_BC = torch.arange(35.0).view(5, 7)
    dealt_BC = shuffled(log_weights_BC, seeded())
    assert torch.equal(dealt_BC[:, 0], log_weights_BC[:, 0])
    assert torch.equal(dealt_BC.sort(dim=1).values, log_weights_BC)
    assert not torch.equal(dealt_BC, log_weights_BC)


def test_random_weights_do_not_change_the_estimate():
    made = contrast(Gaussians.with_information(2.0, 4), 4000, 255, 0.1, seeded())
    plain, error = estimate(made, met_scores(made))
    dealt = weightings(0.1, 255, 0.0, seed=1)["random weights"](made)
    assert estimate(made, met_scores(made), dealt)[0] == pytest.approx(plain, abs=2 * error)


def test_estimated_weights_are_lower_on_planted_false_negatives():
    made = contrast(Gaussians.with_information(4.0, 4), 200, 63, 0.05, seeded())
    found = weightings(0.05, 63, 0.5, seed=1)
    assert found["infonce"](made) is None
    for name, least in (("estimated weights", 0.5), ("alpha = 1", 0.15)):
        log_weights_BC = found[name](made)
        assert (log_weights_BC[:, 0] == 0).all()
        known_BC = made.is_right_BC.index_fill(1, torch.tensor(0), False)
        of_known, of_others = log_weights_BC[known_BC].exp().mean(), log_weights_BC[~made.is_right_BC].exp().mean()
        assert of_known < of_others - least


def test_a_trained_critic_finds_the_log_ratio():
    toy = Gaussians(2, 0.8)
    critic = trained_critic(toy, lambda made: None, 0.0, 31, 150, seeded())
    # log ratio: rho / (1 - rho^2) q.c - rho^2 / (2 (1 - rho^2)) |c|^2 + what all codes of a query share
    expected = 0.8 / 0.36 * torch.eye(2)
    torch.testing.assert_close(critic.weight_DD.data, expected, atol=0.35, rtol=0)
    assert float(critic.norm_weight) == pytest.approx(0.64 / 0.72, abs=0.2)
    queries_BD, codes_BKD = torch.randn(2, 2, generator=seeded(1)), torch.randn(2, 3, 2, generator=seeded(2))
    by_hand = queries_BD[1] @ critic.weight_DD @ codes_BKD[1, 2] - critic.norm_weight * codes_BKD[1, 2].square().sum()
    torch.testing.assert_close(critic(queries_BD, codes_BKD)[1, 2], by_hand)


def test_the_mrr_is_that_of_the_first_column():
    scores_BC = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [1.0, 1.0, 0.0]])
    assert mrr(scores_BC) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 1.5) / 4)
