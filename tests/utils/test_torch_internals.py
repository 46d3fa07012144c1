"""The private members of torch that src/utils/torch_internals.py uses are there and do what it expects."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision

from src.utils.torch_internals import leave_unscaling_to_lightning, onednn_linear

CHANGED = "torch's {} changed: adapt src/utils/torch_internals.py or narrow torch's bound in pyproject.toml"


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN")
def test_onednn_multiplies():
    linear = onednn_linear()
    assert linear is not None, CHANGED.format("ops.mkldnn._linear_pointwise")
    a_MK, b_NK = torch.randn(3, 7), torch.randn(5, 7)
    torch.testing.assert_close(linear(a_MK, b_NK), a_MK @ b_NK.T, msg=CHANGED.format("ops.mkldnn._linear_pointwise"))


def test_lightning_clips_the_gradients_of_a_fused_optimiser():
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], fused=True)
    said = CHANGED.format("Optimizer._step_supports_amp_scaling")
    assert optimizer._step_supports_amp_scaling, f"{said}; it may no longer be needed"
    precision = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    with pytest.raises(RuntimeError, match="unscaling of gradients"):
        precision.clip_gradients(optimizer, 1.0)
    leave_unscaling_to_lightning(optimizer)
    precision.clip_gradients(optimizer, 1.0)
