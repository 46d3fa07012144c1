"""Ranks against the reciprocal ranks of the paper's published code (tests/golden/mrr_cases.npz).

That code counts 0 beyond rank 1,000 or where a query's id is missing from the codebase, and takes the first hit where
ids repeat. Those queries are left out, and counted below; every other one is compared. No query of these cases ties.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch

from src.metrics.ranking import rank_queries

GOLDEN = Path(__file__).parents[1] / "golden" / "mrr_cases.npz"


def test_reciprocal_ranks_equal_those_of_the_published_code(capsys):
    counts = Counter()
    with np.load(GOLDEN) as golden:
        for case in sorted({name.split("/")[0] for name in golden.files}):
            query_ND, code_MD, query_ids, code_ids, expected_N = (
                golden[f"{case}/{name}"] for name in ("nl_vecs", "code_vecs", "nl_urls", "code_urls", "rr")
            )
            matches = [np.flatnonzero(code_ids == query_id) for query_id in query_ids]
            positive_N = [match[0] if len(match) else 0 for match in matches]
            ranks_N = rank_queries(torch.from_numpy(query_ND), torch.from_numpy(code_MD), positive_N).numpy()
            for match, rank, expected in zip(matches, ranks_N, expected_N):
                if len(match) != 1:
                    counts["missing id" if len(match) == 0 else "repeated id"] += 1
                elif rank > 1000:
                    assert expected == 0
                    counts["beyond rank 1,000"] += 1
                else:
                    assert abs(1 / rank - expected) < 1e-12, case
                    counts["compared"] += 1
    with capsys.disabled():
        print(f"\nmrr: {counts.pop('compared')} queries compared, left out: {dict(counts)}")
    assert counts == {"missing id": 2, "repeated id": 10, "beyond rank 1,000": 19}
