"""The BM25 similarities of a batch: ours, python loops as in the paper's code, rank-bm25 and bm25s.

The loops follow the formula. They take what the paper's loader gives them, a padded tensor of token ids, and go through
it element by element, then through queries, columns and tokens. Slow ways run for a few rows, and their time is scaled
up to the batch. Before anything is timed, ours are checked against the loops (statistics=batch) and rank-bm25 (corpus).
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from src.bench.measurement import OURS, SECONDS, Benchmark, has, in_turns, now
from src.corpora.base import Pair
from src.weights.bm25 import BM25Estimator

PADDED = 128  # tokens of a query in the paper's recipes
BATCH = "ours_batch_statistics"
LOOP_ROWS, OKAPI_ROWS = 16, 4
ENOUGH = 0.01  # seconds of a measurement
ROUNDS = 7
Block = Callable[[np.ndarray, np.ndarray], Any]  # row and column indices -> similarities


def measure(notes: list[str], sizes: Sequence[int], number: int) -> list[Benchmark]:
    documents = zipf_documents(number)
    title = f"BM25 similarities of a batch of N queries, statistics of {number:,}"
    benchmark = Benchmark("bm25_block", title, SECONDS, 64 if 64 in sizes else sizes[0])
    ways = contenders(documents, notes)
    for size in sizes:
        batch = np.random.default_rng(size).choice(number, size, replace=False)
        check(ways, batch)
        benchmark.costs[size] = in_turns({name: timed(*way, batch) for name, way in ways.items()}, ROUNDS)
    return [benchmark]


def timed(rows: int | None, way: Block, batch: np.ndarray) -> Callable[[], float]:
    """Seconds of the whole block, estimated from its first `rows` rows; a quick way runs several times."""

    def run() -> float:
        few, times, taken = batch[:rows], 0, 0.0
        while taken < ENOUGH:
            start = now()
            way(few, batch)
            times, taken = times + 1, taken + now() - start
        return taken / times * len(batch) / len(few)

    return run


def contenders(documents: list[list[int]], notes: list[str]) -> dict[str, tuple[int | None, Block]]:
    """name -> rows to run (None: all) and a function of row and column indices."""
    texts = [[str(token) for token in document] for document in documents]
    pairs = [Pair(" ".join(text), "", str(index), "python") for index, text in enumerate(texts)]
    ours = {}
    for statistics in ("batch", "corpus"):
        ours[statistics] = BM25Estimator(statistics=statistics, tokenizer=str.split)
        ours[statistics].fit(pairs)
    padded_NL = torch.zeros(len(documents), PADDED, dtype=torch.long)
    for row_L, document in zip(padded_NL, documents):
        row_L[: len(document)] = torch.tensor(document[:PADDED])
    counts = [Counter(document) for document in documents]  # of columns; rows are counted while they are timed
    found: dict[str, tuple[int | None, Block]] = {
        OURS: (None, ours["corpus"].similarity),
        BATCH: (None, ours["batch"].similarity),
        "paper_loops": (LOOP_ROWS, lambda r, c: paper_loops(padded_NL[r], [counts[i] for i in c])),
    }
    if has("rank_bm25", notes):
        from rank_bm25 import BM25Okapi

        okapi = BM25Okapi(texts)
        found["rank_bm25"] = (OKAPI_ROWS, lambda r, c: [okapi.get_batch_scores(texts[i], c) for i in r])
    if has("bm25s", notes):
        import bm25s

        index = bm25s.BM25(k1=1.5, b=0.75)
        index.index(texts, show_progress=False)
        ids = [index.get_tokens_ids(text) for text in texts]  # not timed, as ours
        found["bm25s"] = (None, lambda r, c: [index.get_scores_from_ids(ids[i])[c] for i in r])
    return found


def check(ways: dict[str, tuple[int | None, Block]], batch: np.ndarray) -> None:
    """Raises AssertionError unless ours compute what the slow ways do."""
    for slow, fast in (("paper_loops", BATCH), ("rank_bm25", OURS)):
        if slow in ways:
            found, expected = (ways[way][1](batch[:3], batch) for way in (fast, slow))
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def paper_loops(row_BL: torch.Tensor, counts: Sequence[Counter[int]]) -> list[list[float]]:
    """Batch-statistics BM25, one token of one query against one column at a time; id 0 pads."""
    k1, b = 1.2, 0.75
    rows = [[int(token) for token in row_L if token != 0] for row_L in row_BL]
    frequency = Counter(token for count in counts for token in count)
    lengths = [count.total() for count in counts]
    average = sum(lengths) / len(lengths)
    scores: list[list[float]] = []
    for row in rows:
        scores.append([])
        for length, count in zip(lengths, counts):
            score = 0.0
            for token in row:
                n, f = frequency[token], count[token]
                idf = math.log((len(counts) - n + 0.5) / (n + 0.5))
                score += idf * f * (k1 + 1) / (f + k1 * (1 - b + b * length / average))
            scores[-1].append(score)
    return scores


def zipf_documents(documents: int) -> list[list[int]]:
    """Random token ids from 1, with frequencies and lengths as in docstrings."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, 30_001) ** 1.05
    lengths = 1 + rng.poisson(12.0, documents)
    ids = 1 + rng.choice(len(chance), size=lengths.sum(), p=chance / chance.sum())
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]
