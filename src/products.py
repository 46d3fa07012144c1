"""Matrix products without gradient, at a CPU's full speed.

Shape letters: M, N rows of the two factors, K what is summed over.
"""

from __future__ import annotations

import torch


def product(a_MK: torch.Tensor, b_NK: torch.Tensor) -> torch.Tensor:
    """a @ b.T in the factors' own precision. No gradient flows through it. Either factor may be a transposed view.

    On a CPU float32 goes to oneDNN, which torch's own products leave to MKL: on an AMD EPYC that one got 115 GFLOP/s
    from a core, oneDNN 260 (tests/benchmarks/losses.py is 2 times faster for it). torch has no public name for that
    call; where it is missing, and everywhere else, this is torch's own product.
    """
    a_MK, b_NK = a_MK.detach(), b_NK.detach()
    if a_MK.device.type == "cpu" and a_MK.dtype == b_NK.dtype == torch.float32 and _onednn is not None:
        return _onednn(a_MK, b_NK, None, "none", [], "")
    return a_MK @ b_NK.T


# What torch.compile puts in the place of a linear layer.
_onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
