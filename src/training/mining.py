"""Hard negatives of a training split: its own codes that score high for a query and are unlikely to answer it.

Shape letters: N training pairs, M distinct codes, D embedding size, K candidates of a query, B rows of a block.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from src.corpora.base import Pair, Split
from src.data.collate import numbered
from src.metrics.search import top_k
from src.utils.errors import InputError
from src.weights.base import Estimator

BLOCK = 256  # queries that are filtered together
KNOWN_ANSWER, HIGH_SCORE, SIMILAR = "known answers", "scores near the answer's", "similar by the estimator"


@dataclass(frozen=True)
class NegativeFilter:
    """Which candidates become negatives.

    Args:
        depth: K, the number of candidates of a query: those with the highest scores.
        per_query: negatives that are kept, the hardest first.
        margin: share of the answer's own score that a negative's must stay below: TopK-PercPos of NV-Retriever
            (Moreira et al. 2024, arXiv 2407.15831), 0.95 there. If the answer scores below 0, as dot products may,
            the same distance below its score.
        most_alike: a candidate counts as another answer from this share of the query's similarity with itself, by the
            estimator; None asks no estimator.

    Raises InputError where `per_query` exceeds `depth`.
    """

    depth: int = 64
    per_query: int = 8
    margin: float = 0.95
    most_alike: float | None = 0.5

    def __post_init__(self) -> None:
        if self.per_query > self.depth:
            raise InputError(f"per_query={self.per_query} are chosen among depth={self.depth} candidates: raise depth")

    def score_limits(self, own_N: np.ndarray) -> np.ndarray:
        """The scores that negatives stay below, from those of the answers."""
        return own_N - (1 - self.margin) * np.abs(own_N)


@dataclass
class MiningResult:
    """Negatives of every training pair by index, and what became of the candidates."""

    negatives: list[list[int]]
    dropped: Counter[str] = field(default_factory=Counter)
    candidates: int = 0
    ratios: list[float] = field(default_factory=list)  # scores of the hardest negatives / scores of the answers

    def summary(self, chosen: NegativeFilter) -> dict[str, Any]:
        """Plain numbers for summary.json."""
        sizes = [len(items) for items in self.negatives]
        return {
            "queries": len(sizes),
            "negatives": sum(sizes),
            "queries_without": sizes.count(0),
            "queries_with_all": sizes.count(chosen.per_query),
            "candidates": self.candidates,
            **{f"dropped/{reason}": count for reason, count in self.dropped.items()},
            "hardest/score_ratio_to_positive": float(np.median(self.ratios)) if self.ratios else None,
            **asdict(chosen),
        }


def mine(
    train: Split, queries_ND: torch.Tensor, codes_ND: torch.Tensor, estimator: Estimator | None, chosen: NegativeFilter
) -> MiningResult:
    """Negatives of each query among the other codes of its language.

    Args:
        queries_ND, codes_ND: of the training pairs, such that a dot product scores them.
        estimator: fitted on these pairs; None filters by scores alone.
    """
    result = MiningResult([[] for _ in train.pairs])
    language_N = np.array([pair.language for pair in train.pairs])
    for language in np.unique(language_N):
        items = np.flatnonzero(language_N == language)
        pool = Pool(train.pairs, items)
        scores_NK, code_NK = (found.numpy() for found in top_k(queries_ND[items], codes_ND[pool.first_M], chosen.depth))
        own_N = torch.linalg.vecdot(queries_ND[items].double(), codes_ND[items].double()).numpy()
        for start in range(0, len(items), BLOCK):
            rows = slice(start, start + BLOCK)
            reasons = {
                KNOWN_ANSWER: pool.is_answer(rows, code_NK[rows]),
                HIGH_SCORE: scores_NK[rows] >= chosen.score_limits(own_N[rows])[:, None],
            }
            if estimator is not None:
                reasons[SIMILAR] = pool.similarity(rows, code_NK[rows], estimator) >= chosen.most_alike
            kept_BK = np.ones(code_NK[rows].shape, bool)
            for reason, mask_BK in reasons.items():
                result.dropped[reason] += int((kept_BK & mask_BK).sum())
                kept_BK &= ~mask_BK
            result.candidates += kept_BK.size
            for row, item in enumerate(items[rows], start):
                places = np.flatnonzero(kept_BK[row - start])[: chosen.per_query]
                result.negatives[item] = pool.first_M[code_NK[row, places]].tolist()
                if len(places) and own_N[row] > 0:
                    result.ratios.append(float(scores_NK[row, places[0]] / own_N[row]))
    return result


class Pool:
    """The distinct codes of some training pairs, and which queries each of them answers."""

    def __init__(self, pairs: Sequence[Pair], items: np.ndarray) -> None:
        self.items = items
        self.query_N = numbered([pairs[item].query for item in items]).numpy()
        self.code_N = numbered([pairs[item].code for item in items]).numpy()
        order = np.argsort(self.code_N, kind="stable")
        self.starts = np.searchsorted(self.code_N[order], np.arange(self.code_N.max() + 2))
        self.by_code = items[order]  # pairs of code m: by_code[starts[m] : starts[m + 1]]
        self.first_M = self.by_code[self.starts[:-1]]
        self.answers = np.unique(self._key(self.query_N, self.code_N))

    def is_answer(self, rows: slice, code_BK: np.ndarray) -> np.ndarray:
        """bool (B, K): whether a pair says that this code answers this query, in these words."""
        return np.isin(self._key(self.query_N[rows][:, None], code_BK), self.answers)

    def _key(self, query: np.ndarray, code: np.ndarray) -> np.ndarray:
        return query * len(self.starts) + code

    def similarity(self, rows: slice, code_BK: np.ndarray, estimator: Estimator) -> np.ndarray:
        """(B, K): a query's similarity with a code, the highest of the code's pairs, relative to that with itself."""
        rows_B = self.items[rows]
        codes_C, place_BK = np.unique(code_BK, return_inverse=True)
        sizes_C = self.starts[codes_C + 1] - self.starts[codes_C]
        firsts_C = np.concatenate([[0], np.cumsum(sizes_C)[:-1]])
        pairs_P = np.concatenate([self.by_code[self.starts[code] : self.starts[code + 1]] for code in codes_C])
        similarity_BP = np.array(estimator.similarity(rows_B, np.concatenate([pairs_P, rows_B])))
        own_B1 = similarity_BP[np.arange(len(rows_B)), len(pairs_P) + np.arange(len(rows_B))][:, None]
        most_BC = np.maximum.reduceat(similarity_BP[:, : len(pairs_P)], firsts_C, axis=1)
        most_BK = np.take_along_axis(most_BC, place_BK.reshape(code_BK.shape), axis=1)
        # A query that is not even similar to itself, such as one without words, says nothing about others.
        return np.divide(most_BK, own_B1, out=np.zeros_like(most_BK), where=own_B1 > 0)
