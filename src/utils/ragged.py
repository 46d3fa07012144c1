"""Many short sequences of whole numbers, such as the token ids of a corpus, as flat arrays.

Shape letters: N sequences, L the longest of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
import torch

Column = tuple[np.ndarray, np.ndarray]  # the concatenated values of all sequences; N + 1 starts, the last is the end


class Ragged:
    """N items, each with a sequence of non-negative numbers per column.

    Args:
        columns: name -> values, of any integer type, and N + 1 starts.
    """

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self.columns = dict(columns)

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Sequence[int]]]) -> Ragged:
        """From name -> the sequence of each item."""
        return cls({name: _flat(sequences) for name, sequences in columns.items()})

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The items of all parts in order; the parts have the same columns."""
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
        """These items in this order; reads no other values."""
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
        """int64 (N, L) of a column, padded on the right; L is at least `width`."""
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
        """The columns in `name_of` under their new names; the others are dropped."""
        return Ragged({name_of[name]: column for name, column in self.columns.items() if name in name_of})


def within(lengths_N: np.ndarray, width: int) -> np.ndarray:
    """bool (N, width): whether the sequence reaches this position."""
    return np.arange(width) < lengths_N[:, None]


def counted(lengths_N: np.ndarray) -> np.ndarray:
    """0, 1, ... below each length, concatenated."""
    starts = _running(lengths_N)
    return np.arange(starts[-1]) - starts[:-1].repeat(lengths_N)


def _flat(sequences: Sequence[Sequence[int]]) -> Column:
    starts = _running(np.fromiter(map(len, sequences), np.int64, len(sequences)))
    return np.fromiter(chain.from_iterable(sequences), np.int64, starts[-1]), starts


def _running(lengths_N: np.ndarray) -> np.ndarray:
    """(N + 1,) running sums of the lengths, from 0."""
    starts = np.zeros(len(lengths_N) + 1, np.int64)
    np.cumsum(lengths_N, out=starts[1:])
    return starts
