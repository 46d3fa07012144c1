"""The numbers of a comparison, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from src.report.cells import cells
from src.report.compare import compare
from src.report.runs import find_runs
from src.utils.errors import InputError
from tests.report.runs import make_run


def compared(*roots, baseline="infonce"):
    return compare(cells(find_runs(roots)[0]), baseline)


def test_means_are_over_seeds_and_differences_are_paired(root):
    (comparison,) = compared(root)
    plain, soft = comparison.rows
    assert plain.mrr == pytest.approx((1.75 / 3 + 1.25 / 3) / 2)
    assert plain.per_seed == pytest.approx([1.75 / 3, 1.25 / 3])
    assert plain.difference is None
    assert soft.mrr == pytest.approx((2 / 3 + 1) / 2)
    d = soft.difference
    assert d.per_seed == pytest.approx({2: 0.25})  # seed 2 alone is in both
    assert d.mean == pytest.approx((0 + 0.5 + 0.25) / 3)
    assert dict(zip(comparison.queries, d.paired_N)) == pytest.approx({"a": 0, "b": 0.5, "c": 0.25})


def test_seeds_are_averaged_before_queries_are_tested(tmp_path):
    for seed, (mine, theirs) in enumerate([(1, 2), (2, 1)]):  # +0.5 and -0.5: averaged first, nothing is left
        make_run(tmp_path, "infonce", seed, dict.fromkeys("abcdefg", theirs))
        make_run(tmp_path, "soft_infonce", seed, dict.fromkeys("abcdefg", mine))
    d = compared(tmp_path)[0].rows[1].difference
    assert (d.mean, d.p, d.seeds_better) == (0, 1, 1)


def test_the_correction_covers_all_settings(tmp_path):
    queries = [f"q{i}" for i in range(9)]
    for lang, pool in (("python", "x"), ("ruby", "y")):
        make_run(tmp_path / lang, "infonce", 1, dict.fromkeys(queries, 2), lang=lang, pool=pool)
        make_run(tmp_path / lang, "soft_infonce", 1, dict.fromkeys(queries, 1), lang=lang, pool=pool)
    one, both = compared(tmp_path / "ruby"), compared(tmp_path)
    (alone,), of_both = ([row.difference for c in found for row, _ in c.compared] for found in (one, both))
    assert alone.p == pytest.approx(2 / 2**9, rel=0.5)
    assert alone.holm == alone.p
    assert [d.holm for d in of_both] == pytest.approx([2 * alone.p] * 2)
    assert alone.verdict == "better"


def test_a_large_difference_on_few_queries_is_undecided(root):
    assert compared(root)[0].rows[1].difference.verdict == "undecided"  # 3 queries


def test_every_language_has_the_same_weight(tmp_path):
    ranks = {"go:a": 1, "go:b": 1, "go:c": 1, "ruby:a": 4}
    make_run(tmp_path, "infonce", 1, ranks, lang="all")
    make_run(tmp_path, "soft_infonce", 1, ranks | {"ruby:a": 2}, lang="all")
    plain, soft = compared(tmp_path)[0].rows
    assert plain.mrr == pytest.approx((1 + 0.25) / 2)
    assert soft.difference.mean == pytest.approx(0.25 / 2)


def test_differences_are_to_the_given_baseline(root):
    plain, soft = compared(root, baseline="soft_infonce bm25")[0].rows
    assert plain.difference.mean == pytest.approx(-(0 + 0.5 + 0.25) / 3)
    assert soft.difference is None
    with pytest.raises(InputError, match="did you mean 'soft_infonce bm25'"):
        compared(root, baseline="soft_infonce")


def test_runs_without_a_baseline_have_means_and_no_comparison(root):
    (comparison,) = compared(root / "soft_infonce-2")
    assert comparison.compared == []
    assert np.isfinite(comparison.rows[0].mrr)
