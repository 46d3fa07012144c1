"""Every private member of torch that this project uses; tests/utils/test_torch_internals.py checks them.

torch has no public name for oneDNN's product, which is what torch.compile puts in the place of a linear layer. Nor does
it say publicly that its fused optimisers could unscale gradients themselves, for which Lightning reads that attribute.
"""

from collections.abc import Callable

import torch


def onednn_linear() -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """a, b -> a @ b.T in float32 by oneDNN; None where this torch lacks it. oneDNN refuses empty factors."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return None
    linear = torch.ops.mkldnn._linear_pointwise
    return lambda a_MK, b_NK: linear(a_MK, b_NK, None, "none", [], "")


def leave_unscaling_to_lightning(optimizer: torch.optim.Optimizer) -> None:
    """Lets Lightning clip a fused optimiser's gradients: it refuses where an optimiser would unscale them itself."""
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # torch sets it when `fused=True`
