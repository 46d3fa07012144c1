"""Matrix products and linear layers at a CPU's full speed.

Shape letters: M, N rows of the two factors, K what is summed over.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from src.utils.torch_internals import onednn_linear

_onednn = onednn_linear()


def product(a_MK: torch.Tensor, b_NK: torch.Tensor) -> torch.Tensor:
    """a @ b.T in the factors' own precision. No gradient flows through it. Either factor may be a transposed view.

    On a CPU float32 goes to oneDNN, which torch's own products leave to MKL: on an AMD EPYC that one got 115 GFLOP/s
    from a core, oneDNN 260 (python -m src.bench only=losses is 2 times faster for it). torch has no public name for
    that call; where it is missing, and everywhere else, this is torch's own product.
    """
    a_MK, b_NK = a_MK.detach(), b_NK.detach()
    is_float32 = a_MK.dtype == b_NK.dtype == torch.float32
    if a_MK.device.type == "cpu" and is_float32 and a_MK.numel() and b_NK.numel() and _onednn is not None:
        return _onednn(a_MK, b_NK)
    return a_MK @ b_NK.T


def fast_linear_layers(model: nn.Module, compiled: bool) -> AbstractContextManager[Any]:
    """`LinearLayers` around a forward pass of the model, where that is allowed.

    A model compiled by torch has linear layers of its own. Gradient checkpointing runs layers again in the backward
    pass, outside of this context, where they would be other operations than in the forward pass.
    """
    runs_again = any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    return nullcontext() if runs_again or compiled else LinearLayers()


class LinearLayers(TorchFunctionMode):
    """Inside, the float32 linear layers of any model take `product` for their three products: twice as fast there.

    Only where torch's own are slow: on AMD's CPUs, without autocast.
    """

    def __torch_function__(
        self, function: Callable, types: tuple, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is F.linear and not kwargs and len(args) >= 2 and _is_slow(args[0], args[1]):
            return _Linear.apply(*args) if len(args) == 3 else _Linear.apply(*args, None)
        return function(*args, **(kwargs or {}))


def _is_slow(x: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.dim() >= 2
        and not torch.is_autocast_enabled("cpu")
        and _onednn is not None
        and mkl_is_slow()
    )


@cache
def mkl_is_slow() -> bool:
    """Whether the processor is AMD's: MKL is Intel's."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and "AuthenticAMD" in cpuinfo.read_text()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight_NK: torch.Tensor, bias_N: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight_NK)
        y_MN = product(x.flatten(0, -2), weight_NK)
        if bias_N is not None:
            y_MN += bias_N
        return y_MN.view(*x.shape[:-1], len(weight_NK))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight_NK = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        grad_MN = grad.flatten(0, -2)
        return (
            product(grad_MN, weight_NK.T).view(x.shape) if for_x else None,
            product(grad_MN.T, x.flatten(0, -2).T) if for_weight else None,
            grad_MN.sum(dim=0) if for_bias else None,
        )
