"""Cost of a batch's BM25 similarity block: ours, a plain loop, rank-bm25 and bm25s, interleaved in one run.

python -m tests.benchmarks.bm25

The plain loop is the paper's way, over queries, columns and tokens, written here from the formula. The slow ones run
for a few rows and are scaled to the batch, marked ~. Before anything is timed, ours are checked to be equal to the
plain loop (batch) and to rank-bm25 (corpus).
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from rank_bm25 import BM25Okapi

from src.corpora.base import Pair
from src.weights.bm25 import BM25Estimator

try:
    import bm25s
except ImportError:
    bm25s = None


def zipf_documents(documents: int, seed: int = 0, tokens: int = 30_000, mean_length: float = 12.0) -> list[list[str]]:
    """Random token lists whose token frequencies and lengths look like those of docstrings."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, tokens + 1) ** 1.05
    lengths = 1 + rng.poisson(mean_length, documents)
    ids = rng.choice(tokens, size=lengths.sum(), p=chance / chance.sum())
    return [[f"t{token}" for token in part] for part in np.split(ids, np.cumsum(lengths)[:-1])]


def plain_loop(rows: list[list[str]], columns: list[list[str]]) -> list[list[float]]:
    """Batch-statistics BM25, one token of one query against one column at a time."""
    k1, b = 1.2, 0.75
    frequency = Counter(token for column in columns for token in set(column))
    average = sum(map(len, columns)) / len(columns)
    scores = []
    for row in rows:
        scores.append([])
        for column in columns:
            score = 0.0
            for token in row:
                n, f = frequency[token], column.count(token)
                idf = math.log((len(columns) - n + 0.5) / (n + 0.5))
                score += idf * f * (k1 + 1) / (f + k1 * (1 - b + b * len(column) / average))
            scores[-1].append(score)
    return scores


def contenders(documents: list[list[str]]) -> dict[str, tuple[int | None, Callable[[np.ndarray, np.ndarray], object]]]:
    """name -> (rows to run, None for all; function of row and column indices)."""
    pairs = [Pair(" ".join(document), "", str(index), "python") for index, document in enumerate(documents)]
    ours = {}
    for statistics in ("batch", "corpus"):
        ours[statistics] = BM25Estimator(statistics=statistics, tokenizer=str.split)
        ours[statistics].fit(pairs)
    okapi = BM25Okapi(documents)
    found: dict[str, tuple[int | None, Callable]] = {
        "plain loop (batch)": (32, lambda r, c: plain_loop([documents[i] for i in r], [documents[i] for i in c])),
        "rank-bm25 get_batch_scores": (8, lambda r, c: [okapi.get_batch_scores(documents[i], c) for i in r]),
        "ours, statistics=batch": (None, ours["batch"].similarity),
        "ours, statistics=corpus": (None, ours["corpus"].similarity),
    }
    if bm25s is not None:
        index = bm25s.BM25(k1=1.5, b=0.75)
        index.index(documents, show_progress=False)
        ids = [index.get_tokens_ids(document) for document in documents]  # outside the clock, as ours
        found["bm25s get_scores_from_ids"] = (None, lambda r, c: [index.get_scores_from_ids(ids[i])[c] for i in r])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()

    documents = zipf_documents(args.documents)
    ways = contenders(documents)
    for size in args.sizes:
        batch = np.random.default_rng(size).choice(len(documents), size, replace=False)
        for slow, fast in (
            ("plain loop (batch)", "ours, statistics=batch"),
            ("rank-bm25 get_batch_scores", "ours, statistics=corpus"),
        ):
            found, expected = (ways[way][1](batch[:3], batch) for way in (fast, slow))
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, (rows, way) in ways.items():
                few = batch[:rows]
                start = time.perf_counter()
                way(few, batch)
                times[name].append((time.perf_counter() - start) * size / len(few))
        own = float(np.median(times["ours, statistics=corpus"]))
        print(f"\nbatch of {size} from {len(documents):,} documents, median of {args.rounds} interleaved rounds")
        for name, values in times.items():
            median = float(np.median(values))
            mark = "~" if ways[name][0] else " "
            print(f"  {name:<28}{mark}{1000 * median:>10.2f} ms {median / own:>9.1f} x ours (corpus)")


if __name__ == "__main__":
    main()
