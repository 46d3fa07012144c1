"""Products at a CPU's full speed: still products."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from src.utils import matmul
from src.utils.matmul import LinearLayers, product


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("M", "N", "K"), [(1, 1, 1), (1, 13, 7), (13, 1, 7), (101, 67, 257), (5, 3, 1), (0, 3, 2)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_as_exact_as_its_type(M, N, K, turned, dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, K, generator=generator, dtype=torch.float64) for rows in (M, N))
    given = [x.to(dtype).T.contiguous().T if turned else x.to(dtype) for x in (a, b)]
    found = product(*given)
    assert found.dtype == dtype
    # half precision in between would be off by 1e-2
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.double(), a @ b.T, rtol=tolerance, atol=10 * tolerance)


def test_torchs_own_product_is_used_where_onednn_is_missing(monkeypatch):
    monkeypatch.setattr("src.utils.matmul._onednn", None)
    a, b = torch.randn(7, 5), torch.randn(3, 5)
    assert torch.equal(product(a, b), a @ b.T)


def test_a_product_requires_no_gradient():
    assert not product(torch.randn(2, 3, requires_grad=True), torch.randn(5, 3)).requires_grad


@pytest.fixture
def slow_mkl(monkeypatch):
    monkeypatch.setattr(matmul, "mkl_is_slow", lambda: True)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(13, 5), (3, 7, 5), (0, 5)])
@pytest.mark.parametrize("frozen", ["nothing", "weight", "input"])
def test_a_linear_layer_and_its_gradient_equal_those_of_torch(slow_mkl, shape, bias, frozen):
    torch.manual_seed(0)
    layer = nn.Linear(5, 11, bias)
    layer.weight.requires_grad_(frozen != "weight")
    x = torch.randn(shape, requires_grad=frozen != "input")
    found = []
    for inside in (False, True):
        layer.zero_grad()
        x.grad = None
        if inside:
            with LinearLayers():
                y = layer(x)
            assert "_LinearBackward" in str(y.grad_fn)
        else:
            y = layer(x)
        y.square().sum().backward()
        found.append([y.detach(), x.grad, *(p.grad for p in layer.parameters())])
    for plain, ours in zip(*found):
        assert (plain is None) == (ours is None)
        if plain is not None:
            torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


def test_half_and_double_precision_and_autocast_keep_their_types(slow_mkl, monkeypatch):
    monkeypatch.setattr(matmul._Linear, "apply", lambda *_: pytest.fail("float32 products"))
    layer, x = nn.Linear(5, 11), torch.randn(3, 5)
    with LinearLayers(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    with LinearLayers():
        assert layer.double()(x.double()).dtype == torch.float64


def test_linear_layers_are_left_alone_where_mkl_is_fast(monkeypatch):
    monkeypatch.setattr(matmul, "mkl_is_slow", lambda: False)
    layer, x = nn.Linear(5, 11), torch.randn(3, 5)
    with LinearLayers():
        assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
        assert "AddmmBackward" in str(layer(x).grad_fn)


class Checkpointed(nn.Module):
    """A layer that runs again in the backward pass, as those of transformers do and say."""

    gradient_checkpointing = True
    compiled = False

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(5, 11), nn.Tanh(), nn.Linear(11, 3))

    def forward(self, features):
        return checkpoint(self.layer, features["x"], use_reentrant=False)


def test_layers_that_run_again_in_the_backward_pass_get_gradients(slow_mkl):
    module = CodeSearchModule(Checkpointed(), InfoNCE()).train()
    module.embed({"x": torch.randn(2, 7, 5)}).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
