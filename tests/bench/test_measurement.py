"""Ratios of costs, by hand."""

from __future__ import annotations

import pytest

from src.bench.measurement import OURS, SECONDS, Benchmark, in_turns
from src.bench.page import Report, Target, amount, headline


def test_a_ratio_is_the_median_over_rounds_of_a_peers_cost_over_ours():
    benchmark = Benchmark("step", "a step", SECONDS, 64)
    benchmark.costs[64] = {OURS: [1.0, 2.0, 4.0], "peer": [3.0, 4.0, 4.0]}  # 3, 2, 1
    benchmark.costs[8] = {OURS: [1.0], "peer": [5.0]}
    assert benchmark.ratios() == {"step/peer@8": 5.0, "step/peer@64": 2.0, "step/peer": 2.0}


def test_a_peer_without_ours_has_no_ratio():
    benchmark = Benchmark("step", "a step", SECONDS, 64)
    benchmark.costs[64] = {"peer": [1.0]}
    assert benchmark.ratios() == {}


def test_every_way_runs_in_every_round_and_may_report_its_own_seconds():
    calls = []

    def way(name, seconds):
        return lambda: calls.append(name) or seconds

    found = in_turns({"a": way("a", 0.5), "b": way("b", None)}, rounds=2)
    assert "".join(calls) == "baabba"  # the first two warm up
    assert found["a"] == [0.5, 0.5]
    assert len(found["b"]) == 2
    assert all(0 <= seconds < 0.5 for seconds in found["b"])


@pytest.mark.parametrize(("ratio", "least", "most"), [(1.0, True, True), (0.9, False, True), (1.1, True, False)])
def test_a_target_is_met_on_the_right_side_of_its_bound(ratio, least, most):
    assert Target("key", 1.0).met(ratio) is least
    assert Target("key", 1.0, at_most=True).met(ratio) is most


def test_a_missed_target_is_named_and_smaller_sizes_are_not_judged():
    benchmark = Benchmark("bm25_block", "blocks", SECONDS, 64)
    benchmark.costs[32] = {OURS: [1.0], "paper_loops": [200.0], "bm25s": [6.0]}
    said = headline(Report([benchmark], ["left out"], {}))
    assert said[0].startswith("1 of 2 targets are met.")
    assert said[1].startswith("bm25_block/paper_loops@32 is 200, should be at least 250. A block this small")
    assert said[2:] == ["left out"]
    assert "met" not in " ".join(headline(Report([benchmark], [], {}, judged=False)))


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(0.01234, "s", "12.3 ms"), (5.4e-5, "s", "54 µs"), (1.5, "s", "1.5 s"), (1234.5, "MB", "1,234 MB")],
)
def test_a_cost_is_shown_in_a_readable_unit(value, unit, shown):
    assert amount(value, unit) == shown
