"""Streamed ranks against a naive loop, with ties, copies, odd shapes and unusable input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.metrics import ranking, scores
from src.metrics.ranking import rank_queries, ranks_of_scores
from src.utils.errors import InputError, NonFiniteError
from tests.metrics.reference import naive_ranks


def random_embeddings(N=3, M=5, D=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(N, D, generator=generator),
        torch.randn(M, D, generator=generator),
        torch.randint(M, (N,), generator=generator),
    )


def test_ranks_equal_the_hand_computed_ones():
    scores_BM = torch.tensor([[9.0, 1, 5, 5, 5], [2, 2, 2, 2, 2], [0, -1, 3, 7, 1]])
    # Row 0: one higher, two other ties. Row 1: four other ties. Row 2: nothing higher.
    assert ranks_of_scores(scores_BM, [2, 4, 3]).tolist() == [3.0, 3.0, 1.0]


def rank_in_tiles(tile, *inputs):
    """Ranks with at most this many queries and codes scored at a time; None: as many as usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scores.TILES, "cpu", tile or scores.TILES["cpu"])
        return rank_queries(*inputs)


@settings(deadline=None)
@given(
    st.integers(1, 7).flatmap(
        lambda width: st.lists(
            st.tuples(st.lists(st.integers(-2, 2), min_size=width, max_size=width), st.integers(0, width - 1)),
            min_size=1,
            max_size=5,
        )
    )
)
def test_ties_are_ranked_as_in_the_naive_loop(rows):
    scores, positives = zip(*rows)
    ranks = ranks_of_scores(torch.tensor(scores, dtype=torch.float32), torch.tensor(positives))
    assert ranks.tolist() == naive_ranks(scores, positives)


@settings(deadline=None, max_examples=50)
@given(
    *(st.integers(1, 5), st.integers(1, 13), st.integers(1, 3), st.integers(0, 10**6)),
    st.sampled_from([None, (1, 1), (2, 3), (3, 5)]),
    st.sampled_from([None, torch.bfloat16]),
)
def test_streamed_ranks_equal_the_naive_loop(N, M, D, seed, tile, dtype):
    rng = np.random.default_rng(seed)
    # Small whole numbers: products are exact and ties frequent.
    query, code = rng.integers(-2, 3, (N, D)), rng.integers(-2, 3, (M, D))
    positive = rng.integers(0, M, N)
    ranks = rank_in_tiles(tile, torch.tensor(query).float(), torch.tensor(code).float(), positive, dtype)
    assert ranks.dtype == torch.float64
    assert ranks.tolist() == naive_ranks((query @ code.T).tolist(), positive)


@pytest.mark.parametrize("D", [1, 3, 16, 64, 100, 768])
@pytest.mark.parametrize("M", [5, 17, 33, 1003])
@pytest.mark.parametrize("tile", [(1, 7), (2, 4096), None])
def test_copies_of_the_positive_tie(D, M, tile):
    # BLAS rounds by column position, so without care some copies score a little higher or lower.
    query_ND, code_1D, _ = random_embeddings(3, 1, D)
    ranks = rank_in_tiles(tile, query_ND, code_1D.repeat(M, 1), [0, M // 2, M - 1])
    assert ranks.tolist() == [1 + (M - 1) / 2] * 3


def test_tripling_the_codes_changes_each_rank_as_computed():
    query_ND, code_MD, positive_N = random_embeddings(13, 37, 64)
    ranks = rank_queries(query_ND, torch.cat([code_MD, code_MD, code_MD]), positive_N)
    # Every higher code is there three times, the positive has two copies.
    torch.testing.assert_close(ranks, 3 * (rank_queries(query_ND, code_MD, positive_N) - 1) + 2)


def test_zero_and_minus_zero_are_the_same_code():
    query_ND, code_1D, _ = random_embeddings(17, 1, 64)
    code_MD = code_1D.relu().repeat(1003, 1)
    code_MD[-3:] *= torch.where(code_1D > 0, 1.0, -1.0)
    assert code_MD.signbit().any()
    assert rank_queries(query_ND, code_MD, [500] * 17).tolist() == [1 + 1002 / 2] * 17


def test_the_tile_does_not_change_a_rank():
    query_ND, code_MD, positive_N = random_embeddings(31, 101, 16)
    ranks = rank_queries(query_ND, code_MD, positive_N)
    for tile in ((1, 1000), (7, 13), (30, 1), (1000, 101)):
        torch.testing.assert_close(rank_in_tiles(tile, query_ND, code_MD, positive_N), ranks, rtol=0, atol=0)


def test_the_order_of_codes_does_not_change_a_rank():
    query_ND, code_MD, positive_N = random_embeddings(31, 101, 16)
    order = torch.randperm(101, generator=torch.Generator().manual_seed(1))
    moved = rank_queries(query_ND, code_MD[order], order.argsort()[positive_N])
    assert moved.tolist() == rank_queries(query_ND, code_MD, positive_N).tolist()


def exact_ranks(query_ND, code_MD, positive_N):
    """Of float64 scores, all held at once."""
    return naive_ranks((query_ND.double()[:, None] * code_MD.double()).sum(dim=2).tolist(), positive_N)


# What makes half precision hard: nothing alike, all codes nearly alike, one huge code, tiny and huge embeddings.
SHIFTS = {"random": 0.0, "narrow": 30.0, "tiny": 0.0, "huge": 0.0, "outlier": 0.0}


@pytest.mark.parametrize("kind", SHIFTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("crowded", [0.03, 1.0])  # 1: never falls back
def test_a_quick_product_does_not_change_a_rank(kind, dtype, crowded, monkeypatch):
    monkeypatch.setattr(ranking, "MAX_AMBIGUOUS_SHARE", crowded)
    query_ND, code_MD, positive_N = random_embeddings(31, 211, 67)
    code_MD = code_MD + SHIFTS[kind]
    if kind == "outlier":
        code_MD[5] *= 1e4
    scale = {"tiny": 1e-25, "huge": 1e15}.get(kind, 1.0)
    query_ND, code_MD = query_ND * scale, torch.cat([code_MD, code_MD[:7]]) * scale
    ranks = rank_in_tiles((13, 50), query_ND, code_MD, positive_N, dtype)
    assert ranks.tolist() == exact_ranks(query_ND / scale, code_MD / scale, positive_N)


def test_a_near_tie_is_settled_in_double_precision():
    code_MD = torch.tensor([[1.0, 2**-24, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 2**-30]])
    # 1 + 2^-24 rounds to 1 in float32: all would tie.
    assert rank_queries(torch.ones(3, 3), code_MD, [0, 1, 2]).tolist() == [1.0, 3.0, 2.0]


def test_scores_are_held_one_tile_at_a_time(monkeypatch):
    query_ND, code_MD, positive_N = random_embeddings(211, 503)
    held = []

    def spy(tile):
        held.append(tile.scores_BC.untyped_storage().nbytes())
        return split(tile)

    split = ranking._certain_and_ambiguous
    monkeypatch.setattr(ranking, "_certain_and_ambiguous", spy)
    monkeypatch.setitem(scores.TILES, "cpu", (10, 100))
    rank_queries(query_ND, code_MD, positive_N)
    assert max(held) == 10 * 100 * 4
    assert sum(held) == 211 * 503 * 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_embeddings_are_ranked_by_exact_scores(dtype):
    query_ND, code_MD, positive_N = (x.to(dtype) if x.is_floating_point() else x for x in random_embeddings(31, 503))
    exact = rank_queries(query_ND.double(), code_MD.double(), positive_N)
    assert rank_queries(query_ND, code_MD, positive_N).tolist() == exact.tolist()


def test_double_precision_is_kept():
    code_MD = torch.tensor([[1.0], [1.0 + 1e-12]], dtype=torch.float64)
    assert rank_queries(torch.ones(1, 1), code_MD, [0]).tolist() == [2.0]


def test_autocast_and_fast_matmul_settings_do_not_change_ranks():
    query_ND, code_MD, positive_N = random_embeddings(31, 503, 64)
    ranks = rank_queries(query_ND, code_MD, positive_N)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert rank_queries(query_ND, code_MD, positive_N).tolist() == ranks.tolist()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_embeddings_in_training_can_be_ranked():
    query_ND, code_MD, positive_N = random_embeddings()
    ranks = rank_queries(query_ND.requires_grad_(), code_MD.requires_grad_(), positive_N)
    assert not ranks.requires_grad


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_ranks_do_not_depend_on_the_device():
    query_ND, code_MD, positive_N = random_embeddings(31, 503, 64)
    code_MD = torch.cat([code_MD, code_MD])
    ranks = rank_queries(query_ND.cuda(), code_MD.cuda(), positive_N.cuda())
    assert ranks.tolist() == rank_queries(query_ND, code_MD, positive_N).tolist()


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_non_finite_embedding_is_refused(side, value):
    embeddings = random_embeddings()
    embeddings[side][1, 2] = value
    with pytest.raises(NonFiniteError, match=f"1 of {(3, 5)[side]} {('query', 'code')[side]} rows"):
        rank_queries(*embeddings)


def test_an_overflowing_score_is_refused():
    with pytest.raises(NonFiniteError, match="overflowing ones in 1 of 1 query rows"):
        rank_queries(torch.full((1, 3), 1e30), torch.full((2, 3), 1e30), [0])


def test_a_nan_score_is_refused():
    with pytest.raises(NonFiniteError, match="NaN in 1 queries"):
        ranks_of_scores(torch.tensor([[float("nan"), 1.0], [0.0, 1.0]]), [0, 0])


@pytest.mark.parametrize(
    ("positives", "message"),
    [
        ([0, 5, 1], "from 0 to 4, found 5 for query 1"),
        ([0, 1, -1], "from 0 to 4, found -1 for query 2"),
        ([0, 1], "expected 3 whole numbers as positives"),
        ([0.0, 1.0, 2.0], "expected 3 whole numbers as positives"),
    ],
)
def test_a_positive_outside_the_codes_is_refused(positives, message):
    query_ND, code_MD, _ = random_embeddings()
    with pytest.raises(InputError, match=message):
        rank_queries(query_ND, code_MD, positives)
    with pytest.raises(InputError, match=message):
        ranks_of_scores(query_ND @ code_MD.T, positives)


def test_embeddings_of_two_sizes_are_refused():
    with pytest.raises(InputError, match=r"found \(3, 7\) and \(5, 6\)"):
        rank_queries(torch.ones(3, 7), torch.ones(5, 6), [0, 0, 0])


def test_an_empty_query_set_and_a_single_code_can_be_ranked():
    assert rank_queries(torch.ones(0, 7), torch.ones(5, 7), []).tolist() == []
    assert rank_queries(torch.ones(3, 7), torch.ones(1, 7), [0, 0, 0]).tolist() == [1.0, 1.0, 1.0]
