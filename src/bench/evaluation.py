"""Ranks of every query among all codes: ours, a sort of all scores as in the paper's code, and faiss.

The sort and faiss look for the first 1,000 ranks. Every run is a fresh process; memory is its peak less the embeddings.
All three must find the same ranks.
"""

from collections.abc import Sequence

import numpy as np

from src.bench.measurement import MEGABYTES, OURS, SECONDS, Benchmark, alone_in_turns, has, now, peak_megabytes
from src.runtime.allocator import keep_freed_memory

DIMENSIONS = 768
FIRST = 1000  # ranks that the sort and faiss look for


def measure(notes: list[str], shapes: Sequence[tuple[int, int]], rounds: Sequence[int]) -> list[Benchmark]:
    queries, codes = shapes[-1]
    title = f"ranks of {queries:,} queries among {codes:,} codes, D = {DIMENSIONS}"
    benchmarks = [
        Benchmark("evaluation", title, SECONDS, queries),
        Benchmark("evaluation_memory", title, MEGABYTES, queries),
    ]
    ways = [OURS, "argsort", *(["faiss"] if has("faiss", notes) else [])]
    for (queries, codes), times in zip(shapes, rounds):
        found = alone_in_turns(
            "src.bench.evaluation:run",
            ways * times,
            {"argsort": 14 * queries * codes / 2**20},
            notes,
            f"evaluation, {{way}}, {queries:,} x {codes:,}",
            queries=queries,
            codes=codes,
        )
        for benchmark, key in zip(benchmarks, ("seconds", "megabytes")):
            benchmark.costs[queries] = {way: [one[key] for one in runs] for way, runs in found.items()}
        mrr = {way: runs[0]["mrr"] for way, runs in found.items()}
        if max(mrr.values()) - min(mrr.values()) > 1e-6:
            values = ", ".join(f"{way} {value:.7f}" for way, value in mrr.items())
            notes.append(f"evaluation: mean reciprocal rank differs, {values}")
    return benchmarks


def run(way: str, queries: int, codes: int) -> dict[str, float]:
    """Seconds, MB in addition to the embeddings, and MRR up to rank 1,000 of one way, in this process."""
    query_ND, code_MD, positive_N = embeddings(queries, codes)
    keep_freed_memory()  # only now: the memory in which the embeddings were made has been freed
    few = positive_N[:2] % min(codes, 1009)
    WAYS[way](query_ND[:2], code_MD[:1009], few)  # imports and warms up
    before, start = peak_megabytes(since_now=True), now()
    ranks_N = np.array(WAYS[way](query_ND, code_MD, positive_N))
    seconds = now() - start
    mrr = float(np.where(ranks_N <= FIRST, 1 / ranks_N, 0).mean())
    return {"seconds": seconds, "megabytes": max(peak_megabytes() - before, 0.1), "mrr": mrr}


def embeddings(queries: int, codes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random unit codes, and unit queries that are noisy copies of some of them."""
    rng = np.random.default_rng(0)
    code_MD = rng.standard_normal((codes, DIMENSIONS), dtype=np.float32)
    positive_N = rng.integers(0, codes, queries)
    query_ND = rng.standard_normal((queries, DIMENSIONS), dtype=np.float32)
    query_ND *= DIMENSIONS**0.5 / 4
    query_ND += code_MD[positive_N]
    for side in (query_ND, code_MD):
        side /= np.linalg.norm(side, axis=1, keepdims=True)
    return query_ND, code_MD, positive_N


def ours(query_ND: np.ndarray, code_MD: np.ndarray, positive_N: np.ndarray) -> list[float]:
    import torch

    from src.metrics.ranking import rank_queries

    device = "cuda" if torch.cuda.is_available() else "cpu"
    queries, codes = (torch.from_numpy(side).to(device) for side in (query_ND, code_MD))
    return rank_queries(queries, codes, torch.from_numpy(positive_N)).tolist()


def sort_and_walk(query_ND: np.ndarray, code_MD: np.ndarray, positive_N: np.ndarray) -> list[float]:
    scores_NM = query_ND @ code_MD.T
    return first_hits(np.argsort(scores_NM, axis=-1)[:, ::-1], positive_N)


def faiss_search(query_ND: np.ndarray, code_MD: np.ndarray, positive_N: np.ndarray) -> list[float]:
    import faiss

    index = faiss.IndexFlatIP(code_MD.shape[1])
    index.add(code_MD)
    return first_hits(index.search(query_ND, min(FIRST, len(code_MD)))[1], positive_N)


def first_hits(order_NK: np.ndarray, positive_N: np.ndarray) -> list[float]:
    """The rank of each positive; infinity where it is not among the first."""
    ranks = []
    for order, positive in zip(order_NK, positive_N):
        rank = float("inf")
        for position, row in enumerate(order[:FIRST]):
            if row == positive:
                rank = position + 1.0
                break
        ranks.append(rank)
    return ranks


WAYS = {OURS: ours, "argsort": sort_and_walk, "faiss": faiss_search}
