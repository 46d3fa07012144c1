"""What the page and the tables say of an inspection that was made by hand."""

from __future__ import annotations

import pytest

from src.analysis.estimators.inspection import Inspection
from src.analysis.estimators.tables import headline
from src.utils.tables import first_lines


def found(**auc: tuple[float, float, float]) -> Inspection:
    """Three numbers of each estimator: AUC, low, high."""
    numbers = {"batch_size": 32, "known_per_row/random": 0.25, "rows_with_known/random": 0.125}
    for name, values in auc.items():
        numbers[f"known_per_row/similar/{name}"] = 1.5
        for key, value in zip(("auc", "auc_low", "auc_high", "weight_known", "weight_ordinary"), (*values, 0.2, 0.9)):
            numbers[f"{key}/same code/{name}"] = value
    return Inspection(list(auc), ["same code"], numbers, {}, None)


def test_estimators_with_overlapping_intervals_are_not_ranked_apart():
    close = headline(found(a=(0.81, 0.78, 0.84), b=(0.80, 0.77, 0.83), c=(0.6, 0.55, 0.65)))[1]
    assert close.startswith("Same code: a detects them best, not distinguishable from b (AUC 0.810, 0.780 to 0.840)")
    clear = headline(found(a=(0.9, 0.88, 0.92), b=(0.80, 0.77, 0.83)))[1]
    assert clear.startswith("Same code: a detects them best (AUC 0.900")


def test_the_base_rate_comes_first():
    first = headline(found(a=(0.9, 0.88, 0.92)))[0]
    assert "meets 0.25 known false negatives among its 31 negatives, and 12% of the queries" in first


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("\n  a\nb\n", "a\nb"),
        ("\n".join("abcdefghij"), "a\nb\nc\nd\ne\nf\ng\nh …"),
        ("x" * 500, "x" * 400 + " …"),
    ],
)
def test_a_long_code_is_cut_with_an_ellipsis(code, shown):
    assert first_lines(code) == shown
