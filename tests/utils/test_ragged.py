"""Sequences of various lengths as flat arrays, against lists."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from src.utils.ragged import Ragged, counted, within

SEQUENCES = st.lists(st.lists(st.integers(0, 2**31), max_size=7), min_size=1, max_size=11)


def lists(items: Ragged, name: str) -> list[list[int]]:
    starts = items.columns[name][1]
    return [items.values(name)[start:end].tolist() for start, end in itertools.pairwise(starts)]


@given(SEQUENCES, st.data())
def test_the_requested_items_come_back(sequences: list[list[int]], data: st.DataObject) -> None:
    items = Ragged.of({"a": sequences, "b": [sequence[::2] for sequence in sequences]})
    rows = data.draw(st.lists(st.integers(0, len(sequences) - 1), min_size=1, max_size=13))
    chosen = items[rows]
    assert len(chosen) == len(rows)
    assert lists(chosen, "a") == [sequences[row] for row in rows]
    assert lists(chosen, "b") == [sequences[row][::2] for row in rows]
    assert lists(chosen[[0]], "b") == lists(chosen, "b")[:1]  # of items that were chosen


def test_padding_follows_the_values() -> None:
    items = Ragged.of({"a": [[5, 6, 7], [], [8]]})
    assert items.padded("a", 9).tolist() == [[5, 6, 7], [9, 9, 9], [8, 9, 9]]
    assert items.padded("a", 0, width=4).tolist() == [[5, 6, 7, 0], [0, 0, 0, 0], [8, 0, 0, 0]]
    assert items[[1]].padded("a", 9).shape == (1, 0)
    assert within(items.lengths("a"), 2).tolist() == [[True, True], [False, False], [True, False]]
    assert counted(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]


def test_narrow_numbers_do_not_overflow_when_they_are_padded() -> None:
    narrow = Ragged({"a": (np.array([65535, 3], np.uint16), np.array([0, 1, 2], np.uint32))})
    assert narrow[[1, 0]].padded("a", -100).tolist() == [[3], [65535]]


def test_a_new_name_goes_to_its_own_column() -> None:
    items = Ragged.of({"a": [[1]], "b": [[2, 3]]}).renamed({"b": "x"})
    assert lists(items, "x") == [[2, 3]]
    assert "a" not in items
