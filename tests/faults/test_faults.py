"""A subset of every row's faults, and whether the harness can lose at all."""

from __future__ import annotations

import io
from unittest import mock

import pytest
from rich.console import Console

from tests.faults.harness import Fault, Row, outcome, print_outcomes, rows
from tests.faults.mutations import BREAKAGES


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"row_{row.number:02}")
def test_every_fault_of_a_row_is_survived(row):
    found = outcome(row, full=False)
    assert not found.lost, "\n".join(f"{fault.name}: {fault.detail}" for fault in found.lost)


def test_a_row_that_breaks_or_has_too_few_faults_counts_as_lost():
    def breaks(full):
        yield Fault("one", True)
        raise OSError("no disk")

    def shrinks(full):
        yield Fault("one", True)

    broken = outcome(Row(1, "", "", 1, breaks), full=True)
    assert [fault.survived for fault in broken.faults] == [True, False]
    assert len(outcome(Row(1, "", "", 2, shrinks), full=True).lost) == 1
    assert outcome(Row(1, "", "", 2, shrinks), full=False).lost == []
    assert len(outcome(Row(1, "", "", 2, lambda full: []), full=False).lost) == 1


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage[1])
def test_what_a_mutation_breaks_is_there(breakage):
    number, _, target, instead = breakage
    with mock.patch(target, instead):
        assert number in {row.number for row in rows()}


def test_what_was_lost_is_named_below_the_table():
    row = Row(3, "three things", "hold", 2, lambda full: [Fault("a", True), Fault("b", False, "because [of] this")])
    page = io.StringIO()
    print_outcomes([outcome(row, full=True)], Console(file=page, width=160))
    assert "b: because [of] this" in page.getvalue()
    assert page.getvalue().splitlines()[3].split()[:4] == ["3", "2", "1", "1"]
