"""Exact ranks against a whole codebase, streamed in tiles.

    rank = 1 + candidates with a higher score + half of the candidates that tie with the positive

so ranks are exact, deterministic and never truncated; a positive that shares the top with one other has rank 1.5.
Shape letters: N queries, M candidate codes, D embedding size, B queries and C codes of a tile, P pairs.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from src.metrics.scores import Scores, Tile
from src.utils.errors import InputError, NonFiniteError

MAX_AMBIGUOUS_SHARE = 0.03  # above it, half precision is slower than the embeddings' own precision
BLOCK_BYTES = 64 * 2**20  # memory for scores at a time; twice that gained a few percent


def rank_queries(
    query_ND: Tensor, code_MD: Tensor, positive_N: Tensor | Sequence[int], dtype: torch.dtype | None = None
) -> Tensor:
    """Rank of each query's own code among all codes by dot product (embed with unit norm for cosine).

    Scores are compared as if they were computed in float64, whatever the device and `dtype`: most are
    decided by fast products, and those too close to the positive's are computed again (see `src.metrics.scores`).
    Codes with identical embeddings tie exactly. Memory beyond the embeddings: a copy of the queries and one tile.

    Args:
        query_ND, code_MD: embeddings, any floating dtype; on a GPU the ranking runs there.
        positive_N: row of each query's code in code_MD.
        dtype: of the fast products, bfloat16 or the embeddings'; None takes the fastest. Changes no rank.

    Returns float64 (N,) ranks, on the CPU.

    Raises:
        InputError: shapes that do not fit, a positive outside the codes.
        NonFiniteError: embeddings that are NaN, infinite or so large (norm over 1.8e19 in float32) that scores could
            overflow.
    """
    query_ND, code_MD = checked_embeddings(query_ND, code_MD)
    own_code_N = _positives(positive_N, len(query_ND), len(code_MD)).numpy()
    if not len(query_ND):
        return torch.empty(0, dtype=torch.float64)
    scores, N = Scores(query_ND, code_MD), len(query_ND)
    own_N = scores.exact(np.arange(N), own_code_N)
    higher_N, tied_N = np.zeros(N, np.int64), np.zeros(N, np.int64)
    compared, ambiguous = 0, 0
    for part in scores.tiles(own_N, dtype):
        higher_B, row_P, column_P = _certain_and_ambiguous(part)
        compared, ambiguous = compared + part.scores_BC.numel(), ambiguous + len(row_P)
        if part.scores_BC.dtype != query_ND.dtype and ambiguous > MAX_AMBIGUOUS_SHARE * compared:
            return rank_queries(query_ND, code_MD, torch.from_numpy(own_code_N), query_ND.dtype)
        higher_N[part.rows] += higher_B
        row_P, column_P = row_P + part.rows.start, column_P + part.columns.start
        others = column_P != own_code_N[row_P]
        row_P, column_P = row_P[others], column_P[others]
        sign_P = scores.signs(row_P, column_P, own_N)
        higher_N += np.bincount(row_P[sign_P > 0], minlength=N)
        tied_N += np.bincount(row_P[sign_P == 0], minlength=N)
    return torch.from_numpy(1 + higher_N + tied_N / 2)


def checked_embeddings(query_ND: Tensor, code_MD: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one precision and on one device. Raises InputError as `rank_queries` documents."""
    if query_ND.ndim != 2 or code_MD.ndim != 2 or query_ND.shape[1] != code_MD.shape[1]:
        raise InputError(
            "ranking: expected embeddings (queries, D) and (codes, D) of one D, "
            f"found {tuple(query_ND.shape)} and {tuple(code_MD.shape)}"
        )
    dtype = torch.float64 if torch.float64 in (query_ND.dtype, code_MD.dtype) else torch.float32
    device = code_MD.device if code_MD.device.type == "cuda" else torch.device("cpu")  # others have no float64
    query_ND, code_MD = (side.detach().to(device, dtype).contiguous() for side in (query_ND, code_MD))
    # NaN compares false with everything, which would give rank 1. If all squared norms are finite, so is every
    # product: |q c| <= |q| |c|.
    for side, embeddings in (("query", query_ND), ("code", code_MD)):
        finite = torch.linalg.vector_norm(embeddings, dim=1).isfinite()
        if not finite.all():
            raise NonFiniteError(
                "ranking: expected finite embeddings, found NaN, infinite or overflowing ones "
                f"in {int((~finite).sum())} of {len(finite)} {side} rows"
            )
    return query_ND, code_MD


def _certain_and_ambiguous(tile: Tile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of scores of each query that are certainly above 0, and the pairs (rows, columns) too close to 0."""
    scores_BC, margin_B1 = tile.scores_BC, tile.margin_B[:, None]
    if scores_BC.device.type != "cpu":
        higher_B = (scores_BC > margin_B1).sum(dim=1)
        row_P, column_P = (scores_BC.abs() <= margin_B1).nonzero(as_tuple=True)
        return higher_B.cpu().numpy(), row_P.cpu().numpy(), column_P.cpu().numpy()
    # The bit patterns of floats are ordered like integers, which numpy compares several times faster than torch floats.
    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[scores_BC.element_size()]
    bits_BC, limit_B1 = scores_BC.view(integer).numpy(), margin_B1.view(integer).numpy()
    above_B = np.count_nonzero(bits_BC > limit_B1, axis=1)
    ambiguous_BC = (bits_BC & torch.iinfo(integer).max) <= limit_B1  # without the sign
    rows, columns = np.divmod(np.flatnonzero(ambiguous_BC), bits_BC.shape[1])
    return above_B, rows, columns


def ranks_of_scores(scores_BM: Tensor, positive_B: Tensor | Sequence[int]) -> Tensor:
    """Rank of each row's positive among that row's scores: float64 (B,), on the CPU.

    Raises NonFiniteError for a NaN score, InputError for a positive outside the candidates.
    """
    positive_B = _positives(positive_B, *scores_BM.shape)
    if scores_BM.isnan().any():
        raise NonFiniteError(f"ranking: expected scores, found NaN in {int(scores_BM.isnan().any(1).sum())} queries")
    scores = scores_BM.cpu().numpy()  # which compares and counts several times faster than torch
    own = np.take_along_axis(scores, positive_B[:, None].numpy(), axis=1)  # ties with itself and with its copies
    higher_B, tied_B = (np.count_nonzero(compare(scores, own), axis=1) for compare in (np.greater, np.equal))
    return torch.from_numpy(1 + higher_B + (tied_B - 1) / 2)


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
