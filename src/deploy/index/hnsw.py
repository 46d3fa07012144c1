"""Approximate search for large indexes: usearch's graph of nearest neighbours (HNSW), which updates keep.

Malkov and Yashunin 2016, arXiv 1603.09320. The graph proposes items and exact scores order them, so the only loss is
an answer that the graph misses; its recall is measured whenever a graph is written.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.deploy.index.nearest import best
from src.utils.errors import InputError

NAME = "graph.usearch"
EXPANSION_SEARCH = 256  # chosen among 64, 128, 256, 512: see tests/benchmarks/approximate.py
BATCH = 4096  # vectors that are added at a time


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
