"""Numbers that are none are found, wherever they are."""

from __future__ import annotations

import pytest
import torch

from src.training.nonfinite import check_finite, gradient_norm
from src.utils.errors import NonFiniteError

NAN, INF = float("nan"), float("inf")


def optimiser(*gradients: list[float] | None) -> torch.optim.Optimizer:
    parameters = [torch.nn.Parameter(torch.zeros(len(gradient or [0]))) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = None if gradient is None else torch.tensor(gradient)
    return torch.optim.AdamW([{"params": parameters[:1]}, {"params": parameters[1:]}])


def test_the_norm_is_that_of_all_gradients():
    assert gradient_norm(optimiser([3.0], None, [0.0, 4.0])).item() == 5.0
    assert gradient_norm(optimiser(None, None)).item() == 0.0


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_non_finite_gradient_gives_a_non_finite_norm(bad):
    assert not torch.isfinite(gradient_norm(optimiser([1.0], [0.0, bad])))


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_checkpoint_with_non_finite_weights_or_moments_is_refused(bad):
    good = {"state_dict": {"a": torch.ones(3), "ids": torch.ones(2, dtype=torch.long)}, "global_step": 5}
    check_finite(good)
    with pytest.raises(NonFiniteError, match=r"after step 5 b \(of 1"):
        check_finite({**good, "state_dict": {**good["state_dict"], "b": torch.tensor([0, bad])}})
    moments = {"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.tensor([bad])}}}
    with pytest.raises(NonFiniteError, match="a moment of parameter 0"):
        check_finite({**good, "optimizer_states": [moments]})
