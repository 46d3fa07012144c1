"""Many short sequences of whole numbers, such as the token ids of a corpus, as flat arrays.

Shape letters: N sequences, B those that are asked for, L the longest of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import torch

Column = tuple[np.ndarray, np.ndarray]  # the values of all sequences in one row; where each starts, and the end (N + 1)


class Ragged:
    """N items, each with one sequence of numbers from 0 per column.

    Args:
        columns: name -> values, in any type of whole numbers, and N + 1 starts.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = dict(columns)

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Sequence[int]]]) -> Ragged:
        """From name -> the sequence of each item."""
        return cls({name: _flat(sequences) for name, sequences in columns.items()})

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The items of all parts, which have the same columns, one after the other."""
        columns = {}
        for name in parts[0].columns:
            lengths = np.concatenate([part.lengths(name) for part in parts])
            columns[name] = (np.concatenate([part.values(name) for part in parts]), _running(lengths))
        return cls(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))[1]) - 1

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, rows: np.ndarray | Sequence[int]) -> Ragged:
        """These items, in this order; only their values are read."""
        rows, chosen = np.asarray(rows), {}
        for name, (values, starts) in self.columns.items():
            lengths = starts[rows + 1] - starts[rows]
            chosen[name] = (values[starts[rows].repeat(lengths) + counted(lengths)], _running(lengths))
        return Ragged(chosen)

    def values(self, name: str) -> np.ndarray:
        """All values of a column, in order."""
        return self.columns[name][0]

    def lengths(self, name: str) -> np.ndarray:
        """(N,) of a column's sequences."""
        return np.diff(self.columns[name][1])

    def padded(self, name: str, padding: int, width: int = 0) -> torch.Tensor:
        """int64 (N, L) of a column, filled up on the right; L is `width` where that is more than the longest has."""
        lengths = self.lengths(name)
        padded_NL = np.full((len(lengths), max(width, lengths.max(initial=0))), padding, dtype=np.int64)
        padded_NL[within(lengths, padded_NL.shape[1])] = self.values(name)
        return torch.from_numpy(padded_NL)

    def narrowed(self) -> Ragged:
        """The same with values in the narrowest type that holds them."""
        return Ragged(
            {
                name: (values.astype(np.min_scalar_type(values.max(initial=0))), starts)
                for name, (values, starts) in self.columns.items()
            }
        )

    def renamed(self, name_of: Mapping[str, str]) -> Ragged:
        """The columns that have a new name, under it."""
        return Ragged({name_of[name]: column for name, column in self.columns.items() if name in name_of})


def within(lengths_N: np.ndarray, width: int) -> np.ndarray:
    """bool (N, width): does the sequence reach this place?"""
    return np.arange(width) < lengths_N[:, None]


def counted(lengths_N: np.ndarray) -> np.ndarray:
    """0, 1, ... up to each length, one after the other."""
    starts = _running(lengths_N)
    return np.arange(starts[-1]) - starts[:-1].repeat(lengths_N)


def _flat(sequences: Sequence[Sequence[int]]) -> Column:
    starts = _running(np.fromiter(map(len, sequences), np.int64, len(sequences)))
    return np.fromiter(chain.from_iterable(sequences), np.int64, starts[-1]), starts


def _running(lengths_N: np.ndarray) -> np.ndarray:
    """(N + 1,) sums of the lengths before each, and of all."""
    starts = np.zeros(len(lengths_N) + 1, np.int64)
    np.cumsum(lengths_N, out=starts[1:])
    return starts
