"""Blocks of rows against the whole matrix: the same loss and gradients, whatever is asked of them."""

from __future__ import annotations

import pytest
import torch

from src.losses.base import weighted_infonce_rows
from src.losses.blocks import ROWS, mean_loss, rows_of_a_block, scores
from src.losses.infonce import InfoNCE
from src.utils.errors import InputError
from src.utils.lazy_matrix import LazyMatrix
from tests.losses.cases import LOSSES

B, C, D = 13, 17, 7


def embeddings(B: int = B, C: int = C, D: int = D, dtype: torch.dtype = torch.float64, seed: int = 0):
    """(queries_BD, codes_CD, positive_B, similarity_BC, excluded_BC); positives are not on the diagonal."""
    generator = torch.Generator().manual_seed(seed)
    queries_BD, codes_CD = (torch.randn(n, D, generator=generator, dtype=dtype).requires_grad_() for n in (B, C))
    positive_B = torch.randperm(C, generator=generator)[:B]
    similarity_BC = torch.rand(B, C, generator=generator, dtype=dtype)
    return queries_BD, codes_CD, positive_B, similarity_BC, torch.rand(B, C, generator=generator) < 0.2


def gradients(value: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    return [value.detach(), *torch.autograd.grad(value, inputs)]


@pytest.mark.parametrize("block", [1, 3, 13, 100])
@pytest.mark.parametrize("with_excluded", [False, True])
@pytest.mark.parametrize("name", list(LOSSES))
def test_blocks_leave_the_loss_and_its_gradients_unchanged(name, with_excluded, block):
    queries, codes, positive, similarity, excluded = embeddings()
    excluded = excluded if with_excluded else None
    plain = LOSSES[name](3.0 * (queries @ codes.T), positive, similarity, excluded).mean()
    expected = gradients(plain, queries, codes)
    for size in (None, block):
        value = mean_loss(LOSSES[name], queries, codes, positive, similarity, excluded, 3.0, size)
        torch.testing.assert_close(gradients(value, queries, codes), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(LOSSES))
def test_float32_blocks_match_the_whole_matrix_at_a_large_batch(name):
    queries, codes, positive, similarity, _ = embeddings(B=509, C=1021, D=67, dtype=torch.float32, seed=1)
    found, expected = (
        gradients(mean_loss(LOSSES[name], queries, codes, positive, similarity, None, 0.5, size), queries, codes)
        for size in (31, None)
    )
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * expected[1].abs().max().item())


def test_each_block_of_similarity_and_exclusions_is_requested_once():
    queries, codes, positive, similarity, excluded = embeddings()
    asked = {"similarity": [], "excluded": []}

    def by_rows(name: str, whole: torch.Tensor) -> LazyMatrix:
        def make(rows: slice) -> torch.Tensor:
            asked[name].append((rows.start, rows.stop))
            return whole[rows]

        return LazyMatrix(make, tuple(whole.shape))

    lazy = by_rows("similarity", similarity), by_rows("excluded", excluded)
    value = mean_loss(LOSSES["soft_infonce"], queries, codes, positive, *lazy, 1.0, 5)
    expected = mean_loss(LOSSES["soft_infonce"], queries, codes, positive, similarity, excluded, 1.0, None)
    torch.testing.assert_close(gradients(value, queries, codes), gradients(expected, queries, codes))
    assert asked == {name: [(0, 5), (5, 10), (10, 13)] for name in asked}


def test_a_loss_that_needs_no_similarity_never_requests_it():
    queries, codes, positive, *_ = embeddings()
    never = LazyMatrix(lambda rows: pytest.fail("asked"), (B, C))
    for size in (None, 5):
        assert torch.isfinite(mean_loss(InfoNCE(), queries, codes, positive, never, None, 1.0, size))


@pytest.mark.parametrize("frozen", ["queries", "codes", "both"])
def test_frozen_embeddings_get_no_gradient_and_leave_that_of_the_others_unchanged(frozen):
    queries, codes, positive, similarity, _ = embeddings()
    whole = gradients(mean_loss(LOSSES["bce"], queries, codes, positive, similarity, None, 1.0, 4), queries, codes)
    fixed = [x.detach() if frozen in (name, "both") else x for name, x in (("queries", queries), ("codes", codes))]
    value = mean_loss(LOSSES["bce"], *fixed, positive, similarity, None, 1.0, 4)
    assert value.requires_grad == (frozen != "both")
    torch.testing.assert_close(value.detach(), whole[0])
    for x, expected in zip(fixed, whole[1:]):
        if x.requires_grad:
            torch.testing.assert_close(torch.autograd.grad(value, x, retain_graph=True)[0], expected)


def test_under_no_grad_the_loss_is_the_same_and_requires_no_gradient():
    queries, codes, positive, similarity, _ = embeddings()
    with torch.no_grad():
        value = mean_loss(LOSSES["soft_infonce"], queries, codes, positive, similarity, None, 1.0, 4)
    assert not value.requires_grad
    torch.testing.assert_close(
        value, mean_loss(LOSSES["soft_infonce"], queries, codes, positive, similarity, None, 1.0, None).detach()
    )


def test_a_second_backward_and_other_uses_of_the_embeddings_get_exact_gradients():
    queries, codes, positive, similarity, _ = embeddings(B=13, C=13)

    def total(size: int | None) -> torch.Tensor:  # the same tensor on both sides, beside another term, weighted
        value = mean_loss(LOSSES["soft_infonce"], queries, queries, positive, similarity, None, 1.0, size)
        return 3 * value + value.square() + (queries * codes).sum()

    found, expected = total(5), total(None)
    for _ in range(2):  # autograd.grad with retain_graph, twice
        one, other = (torch.autograd.grad(x, (queries, codes), retain_graph=True) for x in (found, expected))
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_a_second_derivative_raises_an_error():
    queries, codes, positive, *_ = embeddings()
    (first,) = torch.autograd.grad(mean_loss(InfoNCE(), queries, codes, positive, block=4), queries, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        first.sum().backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_blocks_keep_float32_precision_under_autocast(dtype):
    queries, codes, positive, similarity, _ = (
        x.detach().to(dtype) if x.is_floating_point() else x for x in embeddings()
    )
    queries, codes = queries.requires_grad_(), codes.requires_grad_()
    exact = [x.detach().float().requires_grad_() for x in (queries, codes)]
    expected = gradients(LOSSES["kl_regularized"](scores(*exact), positive, similarity).mean(), *exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = mean_loss(LOSSES["kl_regularized"], queries, codes, positive, similarity, None, 1.0, 4)
    assert value.dtype == torch.float32
    found = gradients(value, queries, codes)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-5)
    for x, y in zip(found[1:], expected[1:]):
        torch.testing.assert_close(x, y.to(dtype), rtol=1e-5 if dtype == torch.float32 else 1e-2, atol=1e-6)


def test_automatic_blocks_cut_a_large_matrix_on_cpu_but_not_on_cuda():
    assert rows_of_a_block("auto", 256, 256, "cpu") is None
    assert rows_of_a_block("auto", 1024, 1024, "cpu") == 512
    assert rows_of_a_block("auto", 128, 131_072, "cpu") == ROWS
    assert rows_of_a_block("auto", 4096, 4096, "cuda") is None
    assert rows_of_a_block(None, 10**6, 10**6, "cpu") is None
    assert rows_of_a_block(7, 3, 3, "cpu") == 7


class Learnt(InfoNCE):
    """InfoNCE whose margin is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.margin = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def row_losses(self, scores_BC, positive_B, similarity_BC):
        margin_B1 = -self.margin.expand(len(scores_BC), 1)
        return weighted_infonce_rows(scores_BC.scatter_add(1, positive_B[:, None], margin_B1), positive_B)


def test_a_loss_with_parameters_learns_and_refuses_blocks(monkeypatch):
    monkeypatch.setattr("src.losses.blocks.WHOLE", 10)
    queries, codes, positive, *_ = embeddings()
    loss = Learnt()
    mean_loss(loss, queries, codes, positive).backward()
    assert loss.margin.grad.item() > 0
    with pytest.raises(InputError, match=r"model\.loss_block=null"):
        mean_loss(loss, queries, codes, positive, block=4)
