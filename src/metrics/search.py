"""The k best codes of each query, without sorting or holding all scores.

Shape letters: N queries, M codes, D embedding size, K = min(k, M), P pairs of a query and a code.
"""

import numpy as np
import torch
from torch import Tensor

from src.metrics.ranking import checked_embeddings
from src.metrics.scores import Scores
from src.utils.errors import InputError

MAX_PART = 8192  # codes compared at a time: all of them may tie


def top_k(query_ND: Tensor, code_MD: Tensor, k: int, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """The k codes with the highest dot product for each query, best first; equal scores are ordered by index.

    The result equals a sort of all float64 scores, on any device. Codes are compared in parts, each at most as long as
    all parts before it, so that about k codes of a part beat the current k best, and only those are scored exactly.

    Args:
        query_ND, code_MD: embeddings, any floating dtype; on a GPU the search runs there.
        k: codes per query; all of them where there are fewer.
        dtype: of the fast products, see `rank_queries`; changes no result.

    Returns scores_NK in float64 and index_NK, rows of code_MD, both on the CPU.

    Raises InputError: k below 1, or embeddings that `rank_queries` refuses.
    """
    if k < 1:
        raise InputError(f"search: expected k of 1 or more, found {k}")
    query_ND, code_MD = checked_embeddings(query_ND, code_MD)
    N, M = len(query_ND), len(code_MD)
    k = min(k, M)
    if not N or not k:
        return torch.empty(N, k, dtype=torch.float64), torch.empty(N, k, dtype=torch.int64)
    scores = Scores(query_ND, code_MD)
    dtype = dtype or scores.fast_dtype
    row_P, column_P = np.repeat(np.arange(N), k), np.tile(np.arange(k), N)
    best_NK, index_NK = _best(scores.exact(row_P, column_P), row_P, column_P, k)
    done = k
    while done < M:
        among = slice(done, min(2 * done, done + MAX_PART, M))
        row_P, column_P = _contenders(scores, best_NK[:, -1], dtype, among)
        row_P = np.concatenate([np.repeat(np.arange(N), k), row_P])
        score_P = np.concatenate([best_NK.ravel(), scores.exact(row_P[N * k :], column_P)])
        best_NK, index_NK = _best(score_P, row_P, np.concatenate([index_NK.ravel(), column_P]), k)
        done = among.stop
    return torch.from_numpy(best_NK), torch.from_numpy(index_NK)


def _contenders(scores: Scores, least_N: np.ndarray, dtype: torch.dtype, among: slice) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (row_P, column_P) whose score may reach the query's k-th best, `least_N`."""
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in scores.tiles(least_N, dtype, among):
        mask_BC = (part.scores_BC >= -part.margin_B[:, None]).cpu().numpy()
        row_P, column_P = np.divmod(np.flatnonzero(mask_BC), mask_BC.shape[1])
        rows.append(row_P + part.rows.start)
        columns.append(column_P + part.columns.start)
    return np.concatenate(rows), np.concatenate(columns)


def _best(score_P: np.ndarray, row_P: np.ndarray, column_P: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, k) scores and columns of the k best pairs of each row; every row has at least k."""
    order = np.lexsort((column_P, -score_P, row_P))
    first = np.flatnonzero(np.diff(row_P[order], prepend=-1))
    chosen_NK = order[first[:, None] + np.arange(k)]
    return score_P[chosen_NK], column_P[chosen_NK]
