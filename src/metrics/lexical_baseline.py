"""The lexical baseline: BM25 on sub-tokens over the same queries and candidates as the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from src.metrics.ranking import BLOCK_BYTES, ranks_of_scores
from src.utils.bm25 import BM25
from src.utils.subtokens import subtokens


def bm25_ranks(
    queries: Sequence[str],
    codes: Sequence[str],
    positives: Sequence[int],
    tokenizer: Callable[[str], list[str]] = subtokens,
) -> Tensor:
    """float64 (N,) rank of each query's own code among all codes by BM25 (rank-bm25's BM25Okapi, its defaults).

    Statistics come from the candidate pool. Codes that share no token with the query tie at score 0, so a query
    without any known token gets the middle rank.

    Args:
        queries: N texts.
        codes: M texts, the candidate pool.
        positives: row of each query's code in `codes`.

    Raises:
        InputError: no codes, or a positive outside them.
    """
    bm25 = BM25(map(tokenizer, codes))
    query_NV = bm25.query_matrix(map(tokenizer, queries))
    # A score takes 8 bytes in the dense block, and 12 more in the sparse product from which the block is made.
    chunk = max(1, BLOCK_BYTES // (20 * len(codes)))
    ranks = [torch.empty(0, dtype=torch.float64)]
    for start in range(0, len(queries), chunk):
        scores_BM = torch.from_numpy(bm25.scores(query_NV[start : start + chunk]))
        ranks.append(ranks_of_scores(scores_BM, positives[start : start + chunk]))
    return torch.cat(ranks)
