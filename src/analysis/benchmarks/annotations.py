"""Graded relevance of a corpus: annotations.jsonl next to test.jsonl, as in the CodeSearchNet challenge.

    {"query": "convert int to string", "url": "https://...", "relevance": 3}

is one annotation: from 0, irrelevant, to 3, an exact match; several of one query and code are averaged.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.corpora.base import Codebase
from src.corpora.jsonl import read_rows
from src.metrics.ranking import rank_queries
from src.metrics.retrieval import ndcg, ranks_within, summarize_graded
from src.metrics.summary import prefixed
from src.utils.bm25 import BM25
from src.utils.subtokens import subtokens

MOST_RELEVANT = 3
CUT = 300  # candidates of a query that the CodeSearchNet challenge reads


@dataclass(frozen=True)
class Annotations:
    """For each query, rows of the codebase and their relevance."""

    queries: tuple[str, ...]
    rows: tuple[np.ndarray, ...]
    relevance: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return sum(map(len, self.rows))


def find(folder: Path) -> Path | None:
    """The annotations file of a language's folder; None where there is none."""
    paths = (folder / "annotations.jsonl", folder / "annotations.jsonl.gz")
    return next((path for path in paths if path.is_file()), None)


def read(path: Path, codebase: Codebase) -> Annotations:
    """Raises InputError with file and line for a url that the codebase lacks or an invalid relevance."""
    row_of = {id: row for row, id in enumerate(codebase.ids)}
    annotated: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(path):
        query, url, relevance = row.text("query"), row.text("url"), row.fields.get("relevance")
        if url not in row_of:
            raise row.error(f"expected a url of the codebase, found {url!r}; add its code there or drop the line")
        if isinstance(relevance, bool) or not isinstance(relevance, int | float) or not 0 <= relevance <= MOST_RELEVANT:
            raise row.error(f"expected a relevance from 0 to {MOST_RELEVANT}, found {relevance!r}")
        annotated[query][row_of[url]].append(float(relevance))
    return Annotations(
        tuple(annotated),
        tuple(np.array(list(codes)) for codes in annotated.values()),
        tuple(np.array([np.mean(values) for values in codes.values()]) for codes in annotated.values()),
    )


def evaluate(annotations: Annotations, query_ND: torch.Tensor, code_MD: torch.Tensor) -> dict[str, float]:
    """`within/ndcg` and `all/ndcg` of a model, each with its interval and number of queries, and `within@300/ndcg` and
    `all@300/ndcg`: the same where the codes below rank 300 are not in the list, as in the challenge.

    Args:
        query_ND: embeddings of `annotations.queries`.
        code_MD: of the codebase; a dot product scores them.
    """
    sizes = [len(rows) for rows in annotations.rows]
    number_P = np.repeat(np.arange(len(annotations.queries)), sizes)
    row_P = np.concatenate(annotations.rows)
    ranks_P = rank_queries(query_ND[number_P], code_MD, row_P.tolist()).numpy()
    scores_P = torch.linalg.vecdot(query_ND[number_P].double(), code_MD[row_P].double()).numpy()
    ends = np.cumsum(sizes)[:-1]
    return summarize(annotations, np.split(scores_P, ends), np.split(ranks_P, ends))


def evaluate_bm25(annotations: Annotations, codebase: Codebase) -> dict[str, float]:
    """The same for BM25 with the statistics of the whole codebase."""
    bm25 = BM25(map(subtokens, codebase.codes))
    scores, ranks = [], []
    for query, rows in zip(annotations.queries, annotations.rows):
        scores_M = np.asarray(bm25.scores(bm25.query_matrix([subtokens(query)])))[0]
        scores.append(scores_M[rows])
        ranks.append([1 + (scores_M > own).sum() + ((scores_M == own).sum() - 1) / 2 for own in scores[-1]])
    return summarize(annotations, scores, ranks)


def summarize(
    annotations: Annotations, scores: Sequence[np.ndarray], ranks: Sequence[Sequence[float] | np.ndarray]
) -> dict[str, float]:
    """The numbers of each query's scores of its annotated codes, and of their ranks among all codes."""
    numbers: dict[str, float] = {}
    for way, ranks_Q in {"within": [ranks_within(own) for own in scores], "all": ranks}.items():
        cut_Q = [np.where(np.asarray(among_all) > CUT, np.inf, found) for found, among_all in zip(ranks_Q, ranks)]
        for name, chosen in ((way, ranks_Q), (f"{way}@{CUT}", cut_Q)):
            values = [ndcg(own.tolist(), list(found)) for own, found in zip(annotations.relevance, chosen)]
            numbers |= prefixed(name, summarize_graded(values))
    return numbers
