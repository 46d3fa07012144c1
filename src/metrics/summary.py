"""The final results of a run next to the lexical baseline, which is BM25, and the table printed for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from src.corpora.base import Split
from src.metrics.ranking import BLOCK_BYTES, ranks_of_scores
from src.metrics.retrieval import bootstrap_mean, split_by_language
from src.utils.bm25 import BM25
from src.utils.console import print_facts
from src.utils.subtokens import subtokens

COLUMNS = ("recall@1", "recall@5", "recall@10", "ndcg@10")


def lexical_baseline(split: Split) -> np.ndarray:
    """ranks_N of BM25 on the queries and candidates of the split, language by language where there are several."""
    if split.parts:
        return np.concatenate([lexical_baseline(part) for part in split.parts])
    return np.asarray(bm25_ranks([pair.query for pair in split.pairs], split.candidates.codes, split.positives))


def bm25_ranks(queries: Sequence[str], codes: Sequence[str], positives: Sequence[int]) -> Tensor:
    """float64 (N,) rank of each query's own code among all codes by BM25 (rank-bm25's BM25Okapi, its defaults).

    Statistics come from the candidate pool. Codes that share no token with the query tie at score 0, so a query
    without any known token gets the middle rank.

    Args:
        queries: N texts.
        codes: M texts, the candidate pool.
        positives: row of each query's code in `codes`.

    Raises InputError: no codes, or a positive outside them.
    """
    bm25 = BM25(map(subtokens, codes))
    query_NV = bm25.query_matrix(map(subtokens, queries))
    # A score takes 8 bytes in the dense block, and 12 more in the sparse product from which the block is made.
    chunk = max(1, BLOCK_BYTES // (20 * len(codes)))
    ranks = [torch.empty(0, dtype=torch.float64)]
    for start in range(0, len(queries), chunk):
        scores_BM = torch.from_numpy(bm25.scores(query_NV[start : start + chunk]))
        ranks.append(ranks_of_scores(scores_BM, positives[start : start + chunk]))
    return torch.cat(ranks)


def mrr_difference(
    ranks_N: np.ndarray, others_N: np.ndarray, sizes: Mapping[str, int] | None = None
) -> dict[str, float]:
    """MRR of `ranks_N` minus MRR of `others_N` on the same queries, with its 95% paired bootstrap interval.

    `sizes` as in `summarize`.
    """
    values_N = 1 / np.asarray(ranks_N, dtype=float) - 1 / np.asarray(others_N, dtype=float)
    strata = list(split_by_language(values_N, sizes).values()) if sizes else [values_N]
    low, high = bootstrap_mean(*strata)
    return {"mrr": float(np.mean([values.mean() for values in strata])), "mrr_low": low, "mrr_high": high}


def language_lines(rows: Mapping[str, Mapping[str, float]], split: Split) -> dict[str, str]:
    """Language -> a line with the MRR of every model, where there are several languages."""
    return {
        language: ", ".join(f"{name} {row[f'{language}/mrr']:.3f}" for name, row in rows.items())
        + f" MRR, {len(part):,} queries, {len(part.candidates):,} candidates"
        for language, part in zip(split.sizes, split.parts)
    }


def prefixed(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """{"mrr": 0.5} -> {"test/mrr": 0.5}."""
    return {f"{prefix}/{name}": value for name, value in metrics.items()}


def pool_facts(split: Split) -> dict[str, str]:
    """The queries and candidates on which the numbers were measured."""
    codebase = split.candidates
    return {"pool": f"{len(split):,} queries, {len(codebase):,} candidates, fingerprint {codebase.fingerprint}"}


def print_table(
    rows: Mapping[str, Mapping[str, float]],
    differences: Mapping[str, Mapping[str, float]],
    facts: Mapping[str, str],
    run: Path,
    console: Console | None = None,
) -> None:
    """Prints one row per model (MRR with its 95% interval, recall, NDCG), then one line per difference and fact."""
    console = console or Console()
    table = Table(
        title="test: every query against the whole codebase", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("", overflow="fold")  # a long name is folded, so that no number is cut
    headings = [column.replace("ndcg", "NDCG").replace("recall", "R") for column in COLUMNS]
    for name in ["MRR", "95% interval", *headings]:
        table.add_column(name, justify="right", no_wrap=True)
    for name, metrics in rows.items():
        interval = f"{metrics['mrr_low']:.3f}–{metrics['mrr_high']:.3f}"
        table.add_row(name, f"{metrics['mrr']:.3f}", interval, *(f"{metrics[column]:.3f}" for column in COLUMNS))
    console.print()
    console.print(table)
    compared = {
        f"minus {other}": f"{d['mrr']:+.4f} MRR, 95% {d['mrr_low']:+.4f} to {d['mrr_high']:+.4f}, on the same queries"
        for other, d in differences.items()
    }
    print_facts({**compared, **facts, "run": str(run)}, console)
