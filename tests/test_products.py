"""Products at a CPU's full speed: still products."""

from __future__ import annotations

import pytest
import torch

from src.products import product


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("M", "N", "K"), [(1, 1, 1), (1, 13, 7), (13, 1, 7), (101, 67, 257), (5, 3, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_wrong_or_less_exact_than_its_type(M, N, K, turned, dtype):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, K, generator=generator, dtype=torch.float64) for rows in (M, N))
    given = [x.to(dtype).T.contiguous().T if turned else x.to(dtype) for x in (a, b)]
    found = product(*given)
    assert found.dtype == dtype
    # half precision in between would be off by 1e-2
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.double(), a @ b.T, rtol=tolerance, atol=10 * tolerance)


def test_torchs_own_product_is_not_used_where_onednn_is_missing(monkeypatch):
    monkeypatch.setattr("src.products._onednn", None)
    a, b = torch.randn(7, 5), torch.randn(3, 5)
    assert torch.equal(product(a, b), a @ b.T)


def test_a_product_keeps_a_graph_of_what_it_was_made_from():
    assert not product(torch.randn(2, 3, requires_grad=True), torch.randn(5, 3)).requires_grad
