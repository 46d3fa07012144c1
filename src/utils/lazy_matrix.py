"""Matrices of a batch that need not exist as a whole: similarities and exclusions, some rows at a time.

Shape letters: B rows, C columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

# Entries up to which a matrix of a batch is made as a whole: 4 MB of float32, a batch of 1,024.
SMALL = 2**20


class ByRows:
    """A (B, C) matrix that is worked out when rows of it are asked for: `matrix[rows]`, as of a tensor.

    Args:
        make: rows -> tensor of those rows.
        shape: (B, C).
    """

    def __init__(self, make: Callable[[slice], torch.Tensor], shape: tuple[int, int]) -> None:
        self.make, self.shape = make, shape

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return self.make(rows)


Matrix = torch.Tensor | ByRows


def is_small(B: int, C: int) -> bool:
    return B * C <= SMALL


def matrix(make: Callable[[slice], torch.Tensor], shape: tuple[int, int]) -> Matrix:
    """The whole matrix where it is small."""
    by_rows = ByRows(make, shape)
    return by_rows[:] if is_small(*shape) else by_rows


def some_rows(matrix: Matrix) -> torch.Tensor:
    """A small matrix, or as many of the first rows of a large one as make a small one: enough for a log."""
    return matrix[: max(1, SMALL // matrix.shape[1])]
