"""The k best of all codes against a full sort."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.metrics import scores, search
from src.metrics.search import top_k
from src.utils.errors import InputError


def sorted_all(query_ND, code_MD, k):
    """Scores and indices of the k best by a stable sort, so that the lower index wins a tie."""
    scores_NM = query_ND.astype(np.float64) @ code_MD.astype(np.float64).T
    index_NK = np.argsort(-scores_NM, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores_NM, index_NK, axis=1), index_NK


@settings(deadline=None, max_examples=50)
@given(
    *(st.integers(1, 5), st.integers(1, 67), st.integers(1, 3), st.integers(1, 11), st.integers(0, 10**6)),
    st.sampled_from([None, (1, 1), (2, 3), (3, 50)]),
    st.sampled_from([None, torch.bfloat16]),
)
def test_the_best_codes_and_the_order_of_ties_equal_a_full_sort(N, M, D, k, seed, tile, dtype):
    rng = np.random.default_rng(seed)
    # Small whole numbers: products are exact and ties frequent.
    query_ND, code_MD = (rng.integers(-2, 3, (rows, D)).astype(np.float32) for rows in (N, M))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scores.TILES, "cpu", tile or scores.TILES["cpu"])
        found = top_k(torch.from_numpy(query_ND), torch.from_numpy(code_MD), k, dtype)
    for values, expected in zip(found, sorted_all(query_ND, code_MD, k)):
        assert values.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shift", [0.0, 30.0])  # 30: all scores close together
@pytest.mark.parametrize("part", [7, 8192])
def test_a_quick_product_or_a_part_hides_none_of_the_best(dtype, shift, part, monkeypatch):
    monkeypatch.setattr(search, "MAX_PART", part)
    generator = torch.Generator().manual_seed(0)
    query_ND, code_MD = torch.randn(13, 67, generator=generator), shift + torch.randn(307, 67, generator=generator)
    if dtype == torch.float64:
        query_ND, code_MD = query_ND.double(), code_MD.double()
    scores_NK, index_NK = top_k(query_ND, code_MD, 11, dtype=dtype)
    expected_NK, expected_index_NK = sorted_all(query_ND.numpy(), code_MD.numpy(), 11)
    assert index_NK.tolist() == expected_index_NK.tolist()
    np.testing.assert_allclose(scores_NK, expected_NK, rtol=1e-12)


def test_codes_that_all_tie_come_in_the_order_of_their_indices():
    _, index_NK = top_k(torch.ones(2, 3), torch.ones(1003, 3), 5)
    assert index_NK.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_an_empty_side_and_a_k_that_is_too_large_give_what_there_is():
    assert top_k(torch.ones(2, 3), torch.ones(4, 3), 7)[1].tolist() == [[0, 1, 2, 3]] * 2
    assert top_k(torch.ones(0, 3), torch.ones(4, 3), 7)[1].shape == (0, 4)
    assert top_k(torch.ones(2, 3), torch.ones(0, 3), 7)[1].shape == (2, 0)
    with pytest.raises(InputError, match="k of 1 or more, found 0"):
        top_k(torch.ones(2, 3), torch.ones(4, 3), 0)
