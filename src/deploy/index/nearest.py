"""The vectors nearest to a query. Exact: one product in half precision, then the best again in float64.

Approximate, for large indexes: usearch's graph of nearest neighbours (HNSW; Malkov and Yashunin 2016, arXiv
1603.09320), which updates keep. The graph proposes items and exact scores order them, so the only loss is an answer
that the graph misses; its recall is measured whenever a graph is written.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.utils.errors import InputError

ROUNDING = 2**-9  # of a product of unit vectors: 2**-11 for the sum, the same for the query, and a margin
NAME = "graph.usearch"
EXPANSION_SEARCH = 256  # chosen among 64, 128, 256, 512: see tests/benchmarks/approximate.py
BATCH = 4096  # vectors that are added to a graph at a time


def dot_products(query_D: np.ndarray, segments: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (M,) of a query with the float16 vectors of all segments, each (M_s, D), at half precision.

    torch's product of a half-precision matrix and a vector reads the mapped file once and converts nothing: 100,000
    vectors of 1,024 numbers took 8 ms on one core, faiss 11 ms, usearch 13 ms, numpy 21 ms with twice the memory.
    """
    unit_D = torch.from_numpy((query_D / (np.linalg.norm(query_D) or 1.0)).astype(np.float16))
    scores = [torch.mv(torch.from_numpy(vectors_MD), unit_D) for vectors_MD in segments if len(vectors_MD)]
    return torch.cat(scores).float().numpy() if scores else np.empty(0, np.float32)


def best(
    query_D: np.ndarray, segments: Sequence[np.ndarray], k: int, allowed_M: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores (float64) of the k best, best first; of equal scores the lowest item first.

    Args:
        query_D: float32.
        segments: float16 vectors; items are numbered across segments.
        k: the result is shorter where there are fewer.
        allowed_M: bool, the items to choose from; None: all.
    """
    scores_M = dot_products(query_D, segments)
    if allowed_M is not None:
        scores_M[~allowed_M] = -np.inf
    k = min(k, int(np.isfinite(scores_M).sum()))
    if not k:
        return np.empty(0, np.int64), np.empty(0)
    least = np.partition(scores_M, -k)[-k]
    margin = ROUNDING * max(1.0, float(np.abs(scores_M[np.isfinite(scores_M)]).max()))
    return rescored(query_D, segments, np.flatnonzero(scores_M >= least - margin), k)


def rescored(
    query_D: np.ndarray, segments: Sequence[np.ndarray], items: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of some items by their exact scores, as `best` gives them."""
    ends = np.cumsum([len(vectors_MD) for vectors_MD in segments])
    items = np.sort(np.asarray(items, np.int64))
    parts = np.split(items, np.searchsorted(items, ends[:-1]))
    vectors = [held[part - (end - len(held))] for held, part, end in zip(segments, parts, ends)]
    scores = np.concatenate(vectors).astype(np.float64) @ query_D.astype(np.float64)
    order = np.lexsort((items, -scores))[:k]
    return items[order], scores[order]


class Graph:
    """Proposes items near a query; the keys of the graph are digests, which do not change when items are renumbered."""

    def __init__(self, path: Path, digests_M: np.ndarray) -> None:
        self._graph = _usearch().Index.restore(str(path), view=True)
        self._graph.expansion_search = EXPANSION_SEARCH
        self._order = np.argsort(digests_M)
        self._digests = digests_M[self._order]

    def nearest(self, query_D: np.ndarray, k: int) -> np.ndarray:
        """At most k items, in no order."""
        keys = np.asarray(self._graph.search(query_D.astype(np.float16), k, threads=1).keys, np.uint64)
        return self._order[np.searchsorted(self._digests, keys)]


def write_graph(
    path: Path,
    digests: Sequence[np.ndarray],
    vectors: Sequence[np.ndarray],
    before: Path | None,
    advance: Callable[[int], object] = lambda number: None,
) -> None:
    """Writes the graph of all items: the earlier graph `before`, updated, or a new one."""
    usearch = _usearch()
    wanted = np.concatenate(digests)
    if before is not None and before.exists():
        graph = usearch.Index.restore(str(before))
        there = np.asarray(graph.keys, np.uint64)
        if len(gone := np.setdiff1d(there, wanted)):
            graph.remove(gone)
    else:
        size = vectors[0].shape[1]
        graph = usearch.Index(ndim=size, metric="ip", dtype="f16", connectivity=16, expansion_add=128)
        there = np.empty(0, np.uint64)
    for own, held in zip(digests, vectors):
        new = np.flatnonzero(~np.isin(own, there))
        advance(len(own) - len(new))
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            graph.add(own[part], held[part])
            advance(len(part))
    graph.save(str(path))


def measured_recall(vectors: Sequence[np.ndarray], graph: Graph, queries: Sequence[np.ndarray], k: int = 10) -> float:
    """Share of each query's k best items that are among the 4 k that the graph proposes."""
    found = [np.isin(best(query_D, vectors, k)[0], graph.nearest(query_D, 4 * k)).mean() for query_D in queries]
    return float(np.mean(found))


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise InputError(
            "large indexes are searched approximately by usearch: pip install -e '.[search]', or give a larger "
            "exact_below="
        ) from error
    return usearch.index
