"""The tables of a finished run: its results with those of its baselines, and queries with their best codes.

Shape letters: N queries, M codes, D embedding size, E example queries, K = codes of each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from src.corpora.base import Split
from src.metrics.search import top_k

EXAMPLES, HITS = 50, 3
LENGTH = 1000  # characters of a code
RESULTS = ("mrr", "mrr_low", "mrr_high", "recall@1", "recall@5", "recall@10", "ndcg@10", "queries")
COMPARED = {"infonce": "infonce", "bm25": "BM25"}


def results(metrics: Mapping[str, float], name: str) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: the run's model, what it is compared with, and the differences on the same queries.

    Each with the 95% interval of its MRR. `metrics` as in metrics.json; what a run has not is left out.
    """
    others = {prefix: other for prefix, other in COMPARED.items() if f"{prefix}/mrr" in metrics}
    rows = {"test": name, **others, **{f"minus_{prefix}": f"{name} minus {other}" for prefix, other in others.items()}}
    return ["model", *RESULTS], [
        [label, *(metrics.get(f"{prefix}/{column}") for column in RESULTS)] for prefix, label in rows.items()
    ]


@dataclass
class Examples:
    """Queries of the test split, evenly spaced, so that every run over a pool shows the same ones.

    Called with what a test leaves; `rows` then holds a row for each.

    Args:
        split: the test split.
        pools: which queries are ranked among which codes, as `CodeSearchData.pools` gives them.
    """

    split: Split
    pools: Sequence[tuple[slice, slice]]
    rows: Sequence[Sequence[Any]] = ()

    @property
    def columns(self) -> list[str]:
        return ["query", "rank", "answer", *(f"{what} {i}" for i in range(1, HITS + 1) for what in ("code", "score"))]

    def __call__(self, ranks_N: torch.Tensor, queries_ND: torch.Tensor, codes_MD: torch.Tensor) -> None:
        N = len(self.split)
        chosen_E = np.unique(np.linspace(0, N - 1, min(EXAMPLES, N)).round().astype(int))
        rows: list[list[Any]] = []
        for queries, among in self.pools:
            own_E = chosen_E[(chosen_E >= queries.start) & (chosen_E < queries.stop)]
            scores_EK, index_EK = top_k(queries_ND[torch.from_numpy(own_E)], codes_MD[among], HITS)
            for query, scores_K, index_K in zip(own_E, scores_EK.tolist(), (index_EK + among.start).tolist()):
                best = [cell for code, score in zip(index_K, scores_K) for cell in (self._code(code), score)]
                best += [None] * (2 * HITS - len(best))
                answer = self._code(self.split.positives[query])
                rows.append([self.split.pairs[query].query, float(ranks_N[query]), answer, *best])
        self.rows = rows

    def _code(self, row: int) -> str:
        codebase = self.split.codebase
        assert codebase is not None  # the test split has one
        return codebase.codes[row][:LENGTH]
