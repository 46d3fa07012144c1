"""The texts of finished runs' queries, read again from the corpus that their config.yaml names."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hydra.utils import instantiate

from src.analysis.corpus.measure import words
from src.config.targets import from_outside
from src.corpora.base import Pair, Split
from src.report.compare import Comparison, Row
from src.utils.errors import first_line
from src.utils.near_duplicates import near_duplicate_pairs

NEAR = 0.8  # Jaccard index of sub-token sets from which codes are near duplicates, as in the surveys
MOST_CODES = 50_000  # among which near duplicates are looked for: about half a minute
SHOWN = 4  # queries that improved most, and that worsened most


Groups = Mapping[str, np.ndarray]  # name -> bool (N,), which of the queries belong to it


@dataclass(frozen=True)
class Texts:
    """The queries of one pool with their codes, and groups of them."""

    pairs: Mapping[str, Pair]  # by id
    lengths: Groups
    duplicates: Groups  # empty where there are too many codes
    note: str = ""


def read_texts(comparison: Comparison) -> Texts | str:
    """The texts of a comparison's queries, or the reason why they cannot be read.

    They are used only where the pool is the one that was ranked: a corpus can change.
    """
    run = comparison.run
    logging.disable(logging.WARNING)  # the training reported what the corpus leaves out
    try:
        corpus = instantiate(from_outside(run.config, run.path).corpus)  # a run directory can come from anyone
        test = corpus.split("test")
        if test.candidates.fingerprint != run.pool:
            return f"the corpus has changed: its pool is {test.candidates.fingerprint} now, and was {run.pool}"
        pairs = {pair.id: pair for pair in test.pairs}
        missing = [query for query in comparison.queries if query not in pairs]
        if missing:
            return f"the corpus has changed: it no longer has query {missing[0]}"
        too_many = run.environment["corpus"].get("train_pairs", 0) + len(test.candidates) > MOST_CODES
        train = None if too_many else corpus.split("train")
    except Exception as error:  # of any kind, such as for a missing folder: the report shows ids instead
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return first_line(cause)
    finally:
        logging.disable(logging.NOTSET)
    ordered = [pairs[query] for query in comparison.queries]
    lengths = length_groups(np.array([len(words(pair.query)) for pair in ordered]))
    if train is None:
        return Texts(pairs, lengths, {}, f"Near duplicates are not looked for among more than {MOST_CODES:,} codes.")
    return Texts(pairs, lengths, duplicate_groups(ordered, train, test))


def length_groups(length_N: np.ndarray) -> Groups:
    """Thirds of the queries by their length in words, as near as whole lengths allow."""
    bounds = sorted({-1, *(int(bound) for bound in np.quantile(length_N, [1 / 3, 2 / 3])), int(length_N.max())})
    groups = {}
    for low, high in pairwise(bounds):
        member_N = (length_N > low) & (length_N <= high)
        if member_N.any():
            shortest, longest = length_N[member_N].min(), length_N[member_N].max()
            name = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
            groups[f"{name} words"] = member_N
    return groups


def duplicate_groups(ordered: list[Pair], train: Split, test: Split) -> Groups:
    """Queries by whether training holds a near duplicate of their code, and whether another candidate is one."""
    codes = [pair.code for pair in ordered]
    seen_N, copied_N = np.zeros(len(codes), bool), np.zeros(len(codes), bool)
    seen_N[near_duplicate_pairs(codes, NEAR, [pair.code for pair in train.pairs])[0]] = True
    query_P, candidate_P = near_duplicate_pairs(codes, NEAR, test.candidates.codes)
    own = np.array([pair.code_id for pair in ordered])
    others_P = own[query_P] != np.array(test.candidates.ids)[candidate_P]
    copied_N[query_P[others_P]] = True
    named = {
        "code (nearly) in training": seen_N,
        "not in training": ~seen_N,
        "near duplicate among candidates": copied_N,
        "no near duplicate": ~copied_N,
    }
    return {name: member_N for name, member_N in named.items() if member_N.any()}


@dataclass(frozen=True)
class RankChange:
    """A query whose rank differs from the baseline's, in every seed that both have."""

    query: str  # its id
    before: list[float]
    after: list[float]
    pair: Pair | None


def rank_changes(comparison: Comparison, row: Row, texts: Texts | None) -> dict[str, list[RankChange]]:
    """The queries with the largest gains and losses in reciprocal rank, averaged over seeds."""
    difference = row.difference
    if difference is None:
        return {}
    paired_N, seeds = difference.paired_N, list(difference.per_seed)
    baseline = next(r for r in comparison.rows if r.cell.name == comparison.baseline).cell
    before, after = ({run.seed: run for run in cell.runs} for cell in (baseline, row.cell))
    order = np.argsort(paired_N, kind="stable")

    def change(place: int) -> RankChange:
        query = comparison.queries[place]
        old, new = ([runs[seed].ranks[query] for seed in seeds] for runs in (before, after))
        return RankChange(query, old, new, texts.pairs[query] if texts else None)

    return {
        "better": [change(place) for place in order[::-1][:SHOWN] if paired_N[place] > 0],
        "worse": [change(place) for place in order[:SHOWN] if paired_N[place] < 0],
    }
