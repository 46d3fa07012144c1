"""What the approximate search finds of the true ten best, and what it costs, on the vectors of a real index:

python -m tests.benchmarks.approximate INDEX [functions=50000] [queries=200]

Queries are the documentation of functions of the index. Each doubling of `expansion` asks the graph to look at twice as
many neighbours.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from src.deploy.index import nearest
from src.deploy.index.nearest import Graph, best, measured_recall, write_graph
from src.deploy.index.searcher import Searcher


def main(index: str, *options: str) -> None:
    given = {name: int(value) for name, value in (option.split("=") for option in options)}
    searcher = Searcher(index)
    held = searcher.index
    functions = min(held.items, given.get("functions", 50_000))
    vectors_MD = np.concatenate([segment.vectors_MD for segment in held.segments])[:functions]
    digests = np.concatenate([segment.digests for segment in held.segments])[:functions]
    docs = (held.text(item)[0] for item in np.random.default_rng(0).permutation(held.items).tolist())
    queries = [searcher.model.query(doc) for doc, _ in zip(filter(None, docs), range(given.get("queries", 200)))]
    start = time.process_time()
    exactly = [best(query_D, [vectors_MD], 10) for query_D in queries]
    took = 1000 * (time.process_time() - start) / len(exactly)
    print(f"{functions:,} functions, dimension {vectors_MD.shape[1]}, {len(queries)} queries; processor time")
    print(f"exact          {took:7.2f} ms a query")
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder, nearest.NAME), time.process_time()
        write_graph(path, [digests], [vectors_MD], None)
        print(
            f"graph          {functions / (time.process_time() - start):7,.0f} functions/s, "
            f"{path.stat().st_size / 1e6:,.0f} MB"
        )
        for expansion in (64, 128, 256, 512):
            nearest.EXPANSION_SEARCH = expansion
            graph = Graph(path, digests)
            start = time.process_time()
            for query_D in queries:
                graph.nearest(query_D, 40)
            took = 1000 * (time.process_time() - start) / len(queries)
            print(
                f"expansion {expansion:4} {took:7.2f} ms a query, "
                f"recall@10 {measured_recall([vectors_MD], graph, queries):.3f}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
