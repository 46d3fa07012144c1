"""Time and memory of ranking every query against every code: ours, the paper's way and faiss, interleaved in one run.

python -m tests.benchmarks.ranking
python -m tests.benchmarks.ranking --queries 14918 --codes 43827 --rounds 1    # CodeSearchNet python, about 8 GB

The paper's way sorts all scores and walks the first 1,000; faiss (skipped where it is absent) searches the first 1,000.
Every run is a fresh process. Memory is what its peak adds to the embeddings.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from statistics import median

import numpy as np


def embeddings(queries: int, codes: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random unit-variance codes, and queries that are noisy copies of some of them."""
    rng = np.random.default_rng(0)
    code_MD = rng.standard_normal((codes, size), dtype=np.float32)
    positive_N = rng.integers(0, codes, queries)
    query_ND = rng.standard_normal((queries, size), dtype=np.float32)
    query_ND *= size**0.5 / 4
    query_ND += code_MD[positive_N]
    return query_ND, code_MD, positive_N


def ours(query_ND: np.ndarray, code_MD: np.ndarray, positive_N: np.ndarray) -> list[float]:
    import torch

    from src.metrics.ranking import rank_queries

    return rank_queries(torch.from_numpy(query_ND), torch.from_numpy(code_MD), torch.from_numpy(positive_N)).tolist()


def first_hits(order_NK: np.ndarray, positive_N: np.ndarray) -> list[float]:
    """The rank at which each positive is met, infinity where it is not."""
    ranks = []
    for order, positive in zip(order_NK, positive_N):
        rank = float("inf")
        for position, row in enumerate(order[:1000]):
            if row == positive:
                rank = position + 1.0
                break
        ranks.append(rank)
    return ranks


def sort_and_loop(query_ND: np.ndarray, code_MD: np.ndarray, positive_N: np.ndarray) -> list[float]:
    scores_NM = query_ND @ code_MD.T
    return first_hits(np.argsort(scores_NM, axis=-1)[:, ::-1], positive_N)


def faiss_search(query_ND: np.ndarray, code_MD: np.ndarray, positive_N: np.ndarray) -> list[float]:
    import faiss

    index = faiss.IndexFlatIP(code_MD.shape[1])
    index.add(code_MD)
    return first_hits(index.search(query_ND, min(1000, len(code_MD)))[1], positive_N)


WAYS = {"ours": ours, "sort and loop (paper)": sort_and_loop, "faiss top 1,000": faiss_search}


def run(way: str, sizes: tuple[int, int, int]) -> dict[str, float]:
    """Seconds, MB above the embeddings, and MRR without ranks beyond 1,000 of one way, in this process."""
    query_ND, code_MD, positive_N = embeddings(*sizes)
    WAYS[way](query_ND[:2], code_MD[:1009], positive_N[:2] % 1009)  # imports and warms up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    ranks_N = np.array(WAYS[way](query_ND, code_MD, positive_N))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "MB": (peak - before) / 1024,
        "mrr": float(np.where(ranks_N <= 1000, 1 / ranks_N, 0).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1499)
    parser.add_argument("--codes", type=int, default=14_983)
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="run one way in this process and print JSON")
    args = parser.parse_args()
    sizes = (args.queries, args.codes, args.size)
    if args.way:
        print(json.dumps(run(args.way, sizes)))
        return

    # BLAS reads these when it is loaded.
    threads = {f"{name}_NUM_THREADS": str(args.threads) for name in ("OMP", "OPENBLAS", "MKL")}
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(args.rounds):
        for way in WAYS:
            command = [sys.executable, "-m", "tests.benchmarks.ranking", "--way", way]
            command += [f"--{name}={value}" for name, value in zip(("queries", "codes", "size"), sizes)]
            done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True)
            if done.returncode == 0:
                runs[way].append(json.loads(done.stdout))
            else:
                print(f"{way}: skipped, {done.stderr.strip().splitlines()[-1]}")
    print(f"{args.queries:,} x {args.codes:,} x {args.size}, {args.threads} thread, median of {args.rounds} rounds")
    own = median(one["seconds"] for one in runs["ours"])
    for way, found in runs.items():
        if found:
            seconds, megabytes, mrr = (median(one[key] for one in found) for key in ("seconds", "MB", "mrr"))
            print(
                f"  {way:<22}{seconds:>8.2f} s {seconds / own:>6.2f} x ours {megabytes:>8.0f} MB   MRR@1000 {mrr:.6f}"
            )


if __name__ == "__main__":
    main()
