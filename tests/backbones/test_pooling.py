"""Pooling against a scalar loop."""

from __future__ import annotations

import pytest
import torch

from src.backbones.base import pool

B, L, D = 3, 5, 7
MASKS = {
    "right": torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]]),
    "left": torch.tensor([[0, 0, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]]),
}


@pytest.mark.parametrize("side", MASKS)
@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_padding_is_not_pooled_whichever_side_it_is_on(pooling: str, side: str) -> None:
    mask_BL = MASKS[side]
    hidden_BLD = torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))
    hidden_BLD[mask_BL == 0] = torch.nan

    pooled_BD = pool(hidden_BLD, mask_BL, pooling)

    assert pooled_BD.shape == (B, D)
    for b in range(B):
        real = [hidden_BLD[b, position] for position in range(L) if mask_BL[b, position]]
        expected = {"cls": real[0], "last": real[-1], "mean": sum(real) / len(real)}[pooling]
        torch.testing.assert_close(pooled_BD[b], expected)


def test_a_mean_over_more_than_256_tokens_does_not_stop_counting_in_bfloat16() -> None:
    ones_BLD = torch.ones(1, 301, 2, dtype=torch.bfloat16)
    pooled_BD = pool(ones_BLD, torch.ones(1, 301, dtype=torch.int64), "mean")
    assert pooled_BD.dtype == torch.float32
    assert pooled_BD.tolist() == [[1.0, 1.0]]


def test_a_text_without_tokens_has_a_finite_embedding() -> None:
    assert pool(torch.full((1, L, D), torch.nan), torch.zeros(1, L, dtype=torch.int64), "mean").isfinite().all()


def test_a_pooling_that_is_a_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="pooler"):
        pool(torch.zeros(B, L, D), MASKS["right"], "pooler")
