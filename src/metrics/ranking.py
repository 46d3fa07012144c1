"""Exact ranks against a whole codebase, streamed in row blocks.

    rank = 1 + candidates with a higher score + half of the candidates that tie with the positive

so ranks are exact, deterministic, not cut anywhere, and 1.5 for a positive that shares the top with one other.
Shape letters: N queries, M candidate codes, D embedding size, B queries of a block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from src.errors import InputError

BLOCK_BYTES = 64 * 2**20  # of scores held at a time; twice that gained a few percent


def rank_queries(
    query_ND: Tensor, code_MD: Tensor, positive_N: Tensor | Sequence[int], chunk: int | None = None
) -> Tensor:
    """Rank of each query's own code among all codes by dot product (embed with unit norm for cosine).

    Works on the codes' device, in float32 (float64 if either side is): half precision moves ranks. Codes with
    identical embeddings tie exactly. Memory beyond the embeddings: one block of scores and its mask.

    Args:
        query_ND, code_MD: embeddings, any floating dtype.
        positive_N: row of each query's code in code_MD.
        chunk: queries scored at a time; None picks what keeps a block of scores in 64 MiB.

    Returns:
        float64 (N,) ranks, on the CPU.

    Raises:
        InputError: shapes that do not fit, a positive outside the codes, embeddings that are NaN, infinite or so
            large (norm over 1.8e19 in float32) that scores could overflow.
    """
    if query_ND.ndim != 2 or code_MD.ndim != 2 or query_ND.shape[1] != code_MD.shape[1]:
        raise InputError(
            "ranking: expected embeddings (queries, D) and (codes, D) of one D, "
            f"found {tuple(query_ND.shape)} and {tuple(code_MD.shape)}"
        )
    device = code_MD.device
    dtype = torch.float64 if torch.float64 in (query_ND.dtype, code_MD.dtype) else torch.float32
    query_ND, code_MD = query_ND.detach().to(dtype), code_MD.detach().to(dtype)
    positive_N = _positives(positive_N, len(query_ND), len(code_MD))
    if not len(query_ND):
        return torch.empty(0, dtype=torch.float64)
    _check_finite(query_ND, code_MD)

    copies, originals = (torch.tensor(indices, device=device) for indices in _duplicates(code_MD))
    if chunk is None:
        chunk = BLOCK_BYTES // (len(code_MD) * code_MD.element_size())
    chunk = min(max(chunk, 1), len(query_ND))
    block_BM = torch.empty(chunk, len(code_MD), dtype=dtype, device=device)
    ranks = []
    for start in range(0, len(query_ND), chunk):
        query_BD = query_ND[start : start + chunk].to(device)
        scores_BM = _scores(query_BD, code_MD, out=block_BM[: len(query_BD)])
        if len(copies):
            # BLAS rounds a dot product differently by column position, so equal codes need not score equally.
            scores_BM[:, copies] = scores_BM[:, originals]
        ranks.append(_ranks(scores_BM, positive_N[start : start + chunk].to(device)))
    return torch.cat(ranks)


def ranks_of_scores(scores_BM: Tensor, positive_B: Tensor | Sequence[int]) -> Tensor:
    """Rank of each row's positive among that row's scores: float64 (B,), on the CPU.

    Raises InputError for a NaN score, or a positive outside the candidates.
    """
    positive_B = _positives(positive_B, *scores_BM.shape)
    if scores_BM.isnan().any():
        raise InputError(f"ranking: expected scores, found NaN in {int(scores_BM.isnan().any(1).sum())} queries")
    return _ranks(scores_BM, positive_B.to(scores_BM.device))


def _ranks(scores_BM: Tensor, positive_B: Tensor) -> Tensor:
    # The positive's own score comes from the same block, so that it ties with itself and with its copies.
    own_B1 = scores_BM.gather(1, positive_B[:, None])
    if scores_BM.device.type == "cpu":
        # numpy compares and counts several times faster than torch on the CPU.
        scores, own = scores_BM.numpy(), own_B1.numpy()
        higher_B, tied_B = (np.count_nonzero(compare(scores, own), axis=1) for compare in (np.greater, np.equal))
    else:
        higher_B, tied_B = (compare(scores_BM, own_B1).sum(dim=1).cpu().numpy() for compare in (torch.gt, torch.eq))
    return torch.from_numpy(1 + higher_B + (tied_B - 1) / 2)


def _scores(query_BD: Tensor, code_MD: Tensor, out: Tensor) -> Tensor:
    if out.device.type == "cpu":
        # numpy's BLAS was a quarter faster than torch's here, and no precision setting or autocast reaches it.
        np.matmul(query_BD.numpy(), code_MD.numpy().T, out=out.numpy())
    else:
        with _full_precision(out.device.type):
            torch.matmul(query_BD, code_MD.T, out=out)
    return out


@contextmanager
def _full_precision(device_type: str) -> Iterator[None]:
    """float32 products in float32, whatever TF32 setting or autocast the caller runs under."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _duplicates(code_MD: Tensor) -> tuple[list[int], list[int]]:
    """Rows whose embedding appeared before, and the row where each did."""
    first: dict[bytes, int] = {}
    copies, originals = [], []
    for row, code_D in enumerate(code_MD.cpu().numpy()):
        # + 0 turns -0 into 0, which scores the same.
        original = first.setdefault(hashlib.blake2b(code_D + 0, digest_size=16).digest(), row)
        if original != row:
            copies.append(row)
            originals.append(original)
    return copies, originals


def _positives(positive: Tensor | Sequence[int], queries: int, candidates: int) -> Tensor:
    positive = torch.as_tensor(positive, device="cpu")
    if positive.shape != (queries,) or (queries and (positive.is_floating_point() or positive.is_complex())):
        raise InputError(
            f"ranking: expected {queries} whole numbers as positives, "
            f"found {positive.dtype} of shape {tuple(positive.shape)}"
        )
    positive = positive.long()
    outside = ((positive < 0) | (positive >= candidates)).nonzero().flatten()
    if len(outside):
        query = int(outside[0])
        raise InputError(
            f"ranking: expected positives from 0 to {candidates - 1}, found {int(positive[query])} for query {query}"
        )
    return positive


def _check_finite(query_ND: Tensor, code_MD: Tensor) -> None:
    # NaN compares false with everything, which would read as rank 1. Where all squared norms are finite, so is every
    # product: |q c| <= |q| |c|.
    for side, embeddings in (("query", query_ND), ("code", code_MD)):
        finite = torch.linalg.vector_norm(embeddings, dim=1).isfinite()
        if not finite.all():
            raise InputError(
                "ranking: expected finite embeddings, found NaN, infinite or overflowing ones "
                f"in {int((~finite).sum())} of {len(finite)} {side} rows"
            )
