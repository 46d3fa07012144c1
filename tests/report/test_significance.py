"""Intervals and tests over queries: against enumeration, against scipy, and by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from src.metrics.retrieval import bootstrap_mean
from src.report.significance import bootstrap_means, holm, query_weights, randomisation_test

N, C = 11, 3


@pytest.fixture
def difference_NC():
    return np.random.default_rng(5).normal(0.3, 1, (N, C))


def everything(queries: int) -> list[np.ndarray]:
    return [np.arange(queries)]


def exact(difference_N: np.ndarray) -> float:
    """Share of all 2^N flips whose mean is at least as far from 0."""
    means = [abs(np.dot(signs, difference_N)) for signs in product((-1, 1), repeat=len(difference_N))]
    return float(np.mean(np.array(means) >= abs(difference_N.sum()) - 1e-12))


def test_p_is_that_of_all_flips_enumerated(difference_NC):
    p_C = randomisation_test(difference_NC, everything(N))
    for p, difference_N in zip(p_C, difference_NC.T, strict=True):
        expected = exact(difference_N)
        assert 0.01 < expected < 0.99  # else there is nothing to estimate
        assert abs(p - expected) < 4 * np.sqrt(expected * (1 - expected) / 20_000)


def test_ties_with_the_observed_mean_are_counted_despite_rounding():
    difference_N = np.full(N, 0.1)  # all signs alike: 2 of 2^11 flips
    (p,) = randomisation_test(difference_N[:, None], everything(N), flips=199_999)
    assert p == pytest.approx(2 / 2**N, rel=0.25)
    assert p >= 1e-5


def test_equal_runs_have_p_equal_to_one():
    assert randomisation_test(np.zeros((N, C)), everything(N)).tolist() == [1, 1, 1]


def test_p_is_never_zero():
    (p,) = randomisation_test(np.ones((101, 1)), everything(101), flips=999)
    assert p == 1 / 1000


def test_false_positives_are_as_frequent_as_the_level_says():
    rng = np.random.default_rng(0)
    p_C = randomisation_test(rng.normal(size=(61, 400)), everything(61), flips=1999)
    assert 0.02 < np.mean(p_C < 0.05) < 0.085  # 0.05, four standard errors either side and a little less below


def test_the_sign_of_a_difference_does_not_matter_to_p(difference_NC):
    mine, theirs = (randomisation_test(sign * difference_NC, everything(N)) for sign in (1, -1))
    np.testing.assert_array_equal(mine, theirs)


def test_an_interval_is_the_one_that_a_run_reports(difference_NC):
    found = bootstrap_means(difference_NC, everything(N))
    for interval, values_N in zip(found.T, difference_NC.T, strict=True):
        assert interval == pytest.approx(bootstrap_mean(values_N), abs=1e-12)


def test_an_interval_over_languages_resamples_within_each_language(difference_NC):
    strata = [np.arange(0, N, 2), np.arange(1, N, 2)]
    found = bootstrap_means(difference_NC, strata)
    for interval, values_N in zip(found.T, difference_NC.T, strict=True):
        assert interval == pytest.approx(bootstrap_mean(*(values_N[own] for own in strata)), abs=1e-12)


def test_many_queries_are_resampled_in_the_same_way_as_few():
    values_N = np.random.default_rng(1).random(1511)  # more than one batch of resamples
    assert bootstrap_means(values_N[:, None], everything(1511))[:, 0] == pytest.approx(bootstrap_mean(values_N))


def test_a_small_language_counts_as_much_as_a_large_one():
    weight_N = query_weights([np.array([0, 1, 2]), np.array([3])], 4)
    assert weight_N.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    few, many = np.array([[0.0], [0.0], [0.0], [1.0]]), np.array([[0.0], [0.0], [1.0], [0.0]])
    assert query_weights([np.arange(3), np.array([3])], 4) @ few == pytest.approx(3 * (weight_N @ many))


def test_holm_multiplies_by_the_remaining_tests_and_stays_monotone():
    # sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which may not fall below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_a_corrected_p_is_at_most_one_and_no_tests_give_none():
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.2]) == pytest.approx([0.2])
    assert holm([]) == []
