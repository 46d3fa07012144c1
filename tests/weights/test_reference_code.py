"""Batch statistics against the similarity matrices of the paper's published code (tests/golden/bm25_cases.npz).

Each case holds tokenised queries, of which ids 0 to 3 (start, padding, end, unknown) are not counted, and the average
length that code used: that of whole tokenised queries, special tokens included.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from src.utils.bm25 import Rows, block_product
from src.weights.bm25 import batch_weights

GOLDEN = Path(__file__).parents[1] / "golden" / "bm25_cases.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return {name: arrays[name] for name in arrays.files}


def count(ids_NL: np.ndarray, dtype: type) -> csr_array:
    counts_NV = np.zeros((len(ids_NL), ids_NL.max() + 1), dtype)
    for row, ids_L in enumerate(ids_NL):
        np.add.at(counts_NV[row], ids_L[ids_L > 3], 1)
    return csr_array(counts_NV)


def batch_scores(row_BV: csr_array, column_CV: csr_array, average_length: float | None = None) -> np.ndarray:
    rows, columns = Rows.of(row_BV), Rows.of(column_CV)
    return block_product(rows, replace(columns, data=batch_weights(columns, columns, average_length)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_batch_statistics_equal_those_of_the_published_code(dtype, tolerance, golden, capsys):
    cases = sorted({name.split("/")[0] for name in golden})
    for case in cases:
        counts_NV = count(golden[f"{case}/nl_inputs"], dtype)
        expected = golden[f"{case}/sim_f{8 * np.dtype(dtype).itemsize}"]
        found = batch_scores(counts_NV, counts_NV, float(golden[f"{case}/avg_len"]))
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance, err_msg=case)
    with capsys.disabled():
        print(f"\nbm25 {np.dtype(dtype)}: {len(cases)} cases compared")
    assert len(cases) == 21


def loop(rows: list[list[str]], columns: list[list[str]]) -> list[list[float]]:
    """The formula, one token at a time."""
    average = sum(map(len, columns)) / len(columns)
    scores = []
    for row in rows:
        scores.append([])
        for column in columns:
            score = 0.0
            for token in row:
                n = sum(token in other for other in columns)
                f = column.count(token)
                idf = math.log((len(columns) - n + 0.5) / (n + 0.5))
                score += idf * f * 2.2 / (f + 1.2 * (0.25 + 0.75 * len(column) / average))
            scores[-1].append(score)
    return scores


def test_batch_statistics_equal_a_scalar_loop():
    rng = np.random.default_rng(0)
    texts = [[str(token) for token in rng.integers(0, 11, size)] for size in (2, 7, 0, 3, 5, 13, 1, 4)]
    rows, columns = texts[:3], texts[3:]  # B = 3, C = 5: rows are no columns
    counts = count(np.array([[int(t) + 4 for t in text] + [1] * (13 - len(text)) for text in texts]), np.float64)
    np.testing.assert_allclose(batch_scores(counts[:3], counts[3:]), loop(rows, columns), atol=1e-12)


def test_a_given_average_length_replaces_that_of_the_columns():
    counts_NV = count(np.array([[4, 5, 5], [5, 6, 1], [7, 1, 1]]), np.float64)
    mean = (3 + 2 + 1) / 3
    np.testing.assert_array_equal(batch_scores(counts_NV, counts_NV, mean), batch_scores(counts_NV, counts_NV))
    assert (batch_scores(counts_NV, counts_NV, 2 * mean) != batch_scores(counts_NV, counts_NV)).any()
