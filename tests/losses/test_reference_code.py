"""The losses against the numbers of the paper's published code (tests/golden/loss_cases.npz).

The published code computes log(p + 1e-15), so where a probability is small it is not the truth. A value is compared

- for the loss where every probability that enters a logarithm is at least 1e-12, within 1e-9 plus 1e-15 / p, the exact
  size of what the added 1e-15 does;
- for the gradient where they also lie between 1e-10 and 1 - 1e-10, within the same bound.

Cases where beta <= alpha / n must raise instead.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from src.losses.bce import BCE
from src.losses.false_negative_cancellation import FalseNegativeCancellation
from src.losses.infonce import InfoNCE
from src.losses.kl_regularized import KLRegularized
from src.losses.soft_infonce import SoftInfoNCE
from src.losses.weighted_infonce import WeightedInfoNCE
from src.utils.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "loss_cases.json").read_text())
LOSS_CASES = [case for case in CASES if case["kind"] == "loss"]
CANCEL_CASES = [case for case in CASES if case["kind"] == "falsecancel_topk"]
EPSILON = 1e-15  # what the published code adds to a probability
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}

MAKE = {
    "infonce": lambda alpha, beta, t: InfoNCE(),
    "softinfonce": lambda alpha, beta, t: SoftInfoNCE(alpha, beta, t),
    "weightedinfonce": lambda alpha, beta, t: WeightedInfoNCE(t),
    "bce": lambda alpha, beta, t: BCE(t),
    "klregularization": lambda alpha, beta, t: KLRegularized(alpha, beta, t),
}

# (losses, gradients) that survive the exclusions above, of 147 cases.
COMPARED = {
    "infonce": {torch.float64: (147, 147), torch.float32: (147, 0)},
    "softinfonce": {torch.float64: (62, 51), torch.float32: (62, 0)},
    "weightedinfonce": {torch.float64: (86, 83), torch.float32: (86, 0)},
    "bce": {torch.float64: (86, 83), torch.float32: (86, 0)},
    "klregularization": {torch.float64: (123, 123), torch.float32: (111, 0)},
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "loss_cases.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def logged_probabilities(name: str, scores: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The probabilities whose logarithm the published code takes, from its own inputs."""
    if name in ("infonce", "klregularization") or len(scores) == 1:
        return np.ones(1)  # computed there through log_softmax
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    if weights is not None:
        shifted = shifted * weights
    p = shifted / shifted.sum(axis=1, keepdims=True)
    return p.diagonal() if name == "softinfonce" else p


def columns_first_positive(weights: np.ndarray) -> np.ndarray:
    """(N, N) with the positive's weight in column 0 -> the same weights on the batch's own columns."""
    n = len(weights)
    square = np.ones((n, n))
    square[~np.eye(n, dtype=bool)] = weights[:, 1:].ravel()
    return square


def compare(loss, case_id, golden, prefix, dtype, logged) -> tuple[int, int]:
    """Asserts what can be asserted; returns (losses, gradients) compared."""
    kind = "f64" if dtype == torch.float64 else "f32"
    scores = torch.tensor(golden[f"{case_id}/scores"], dtype=dtype, requires_grad=True)
    similarity = torch.tensor(golden[f"{case_id}/sim"], dtype=dtype)
    value = loss(scores, torch.arange(len(scores)), similarity).mean()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(scores.grad).all()
    smallest, largest = logged.min(), logged.max()
    if smallest < 1e-12 or (isinstance(loss, BCE) and (1 - logged).min() < 1e-12 and len(scores) > 1):
        return 0, 0
    bound = TOLERANCE[dtype] + EPSILON / smallest
    expected = golden[f"{case_id}/{prefix}{kind}/loss"]
    assert value.item() == pytest.approx(float(expected), rel=bound, abs=bound), f"{case_id} {prefix} loss"
    if kind == "f32" or ((smallest < 1e-10 or largest > 1 - 1e-10) and logged.size > 1):
        return 1, 0
    np.testing.assert_allclose(scores.grad, golden[f"{case_id}/{prefix}f64/grad"], rtol=0, atol=bound, err_msg=case_id)
    return 1, 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", list(MAKE))
def test_each_loss_and_gradient_equals_that_of_the_published_code(name, dtype, golden, capsys):
    losses = gradients = saturated = nonfinite = meaningless = 0
    for case in LOSS_CASES:
        case_id, n = case["id"], case["N"] - 1
        alpha, beta, t = golden[f"{case_id}/params"]
        loss = MAKE[name](alpha, beta, t)
        if name == "softinfonce" and (beta <= alpha / n if n else alpha > 0):
            with pytest.raises(InputError, match="beta <= alpha / n"):
                loss.check_negatives(n)
            meaningless += 1
            continue
        if case["out"][f"{name}/{'f64' if dtype == torch.float64 else 'f32'}"] != "finite":
            nonfinite += 1
            continue
        scores = golden[f"{case_id}/scores"]
        weights = (
            columns_first_positive(golden[f"{case_id}/softinfonce/f64/weights"]) if name == "softinfonce" else None
        )
        compared = compare(loss, case_id, golden, f"{name}/", dtype, logged_probabilities(name, scores, weights))
        losses, gradients = losses + compared[0], gradients + compared[1]
        saturated += compared[0] == 0
    line = (
        f"{name} {dtype}: {losses} losses and {gradients} gradients of {len(LOSS_CASES)} cases compared; left out: "
        f"{saturated} saturated, {nonfinite} not finite in the published code, {meaningless} with beta <= alpha / n"
    )
    with capsys.disabled():
        print(f"\n{line}")
    assert losses + saturated + nonfinite + meaningless == len(LOSS_CASES)
    assert (losses, gradients) == COMPARED[name][dtype], line  # an exclusion that grew would hide a difference


def test_soft_weights_equal_those_of_the_published_code(golden, capsys):
    compared = 0
    for case in LOSS_CASES:
        case_id, n = case["id"], case["N"] - 1
        alpha, beta, t = golden[f"{case_id}/params"]
        if case["out"]["softinfonce/f64"] != "finite" or (beta <= alpha / n if n else True):
            continue
        similarity = torch.tensor(golden[f"{case_id}/sim"])
        weights = SoftInfoNCE(alpha, beta, t).negative_weights(similarity, torch.arange(n + 1))
        expected = columns_first_positive(golden[f"{case_id}/softinfonce/f64/weights"])
        np.testing.assert_allclose(weights, expected, rtol=1e-9, atol=1e-9, err_msg=case_id)
        compared += 1
    with capsys.disabled():
        print(f"\nsoft_infonce weights: {compared} cases compared")
    assert compared >= 90


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_cancellation_equals_that_of_the_published_code(dtype, golden, capsys):
    losses = gradients = 0
    for case in CANCEL_CASES:
        top_k = int(golden[f"{case['id']}/topk"])
        compared = compare(FalseNegativeCancellation(top_k=top_k), case["id"], golden, "", dtype, np.ones(1))
        losses, gradients = losses + compared[0], gradients + compared[1]
    thresholds = 0
    if dtype == torch.float64:
        for case in CANCEL_CASES:
            golden_f64 = {
                name.replace("threshold_intended_f64", "f64"): value
                for name, value in golden.items()
                if name.startswith(case["id"]) and not name.startswith(f"{case['id']}/f64")
            }
            loss = FalseNegativeCancellation(threshold=float(golden[f"{case['id']}/ratio"]))
            thresholds += compare(loss, case["id"], golden_f64, "", dtype, np.ones(1))[0]
    with capsys.disabled():
        print(f"\nfalse_negative_cancellation {dtype}: {losses} losses, {gradients} gradients, {thresholds} thresholds")
    assert losses == len(CANCEL_CASES)
    assert thresholds in (0, len(CANCEL_CASES))
