"""Matrices of a batch that are computed a few rows at a time: similarities and exclusions.

Shape letters: B rows, C columns.
"""

from collections.abc import Callable

import torch

# Entries up to which a matrix of a batch is computed as a whole: 4 MB of float32, a batch of 1,024.
SMALL = 2**20


class LazyMatrix:
    """A (B, C) matrix whose rows are computed when they are indexed: `matrix[rows]`, like those of a tensor.

    Args:
        compute: rows -> tensor of those rows.
        shape: (B, C).
    """

    def __init__(self, compute: Callable[[slice], torch.Tensor], shape: tuple[int, int]) -> None:
        self.compute, self.shape = compute, shape

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return self.compute(rows)


Matrix = torch.Tensor | LazyMatrix


def is_small(B: int, C: int) -> bool:
    return B * C <= SMALL


def matrix(compute: Callable[[slice], torch.Tensor], shape: tuple[int, int]) -> Matrix:
    """The whole matrix where it is small, a `LazyMatrix` where it is large."""
    lazy = LazyMatrix(compute, shape)
    return lazy[:] if is_small(*shape) else lazy


def some_rows(matrix: Matrix) -> torch.Tensor:
    """All rows of a small matrix, or so many first rows of a large one that they are small: enough for a log."""
    return matrix[: max(1, SMALL // matrix.shape[1])]
