"""Dot products of queries with codes: all of them fast with a bound on the error, or selected ones exactly.

Two scores are compared by their fast values where these differ by more than the bound, and by their exact values
elsewhere. So no result depends on precision, device, tile or BLAS; half precision, where the hardware has it, only
makes most of the work cheaper.

Shape letters: N queries, M codes, D embedding size, B queries and C codes of a tile, P pairs of a query and a code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.utils.matmul import product

# Queries and codes of a tile. On the CPU the scores of a tile fit the caches.
TILES = {"cpu": (512, 4096), "cuda": (4096, 65536)}
LARGE = 2**34  # multiplications above which half precision is faster in spite of its preparation
EXACT_PAIRS = 256  # pairs scored exactly at a time
TINY = 1e-36  # larger than any number that is flushed to 0
TERMS = 3  # bfloat16 numbers, with 8 bits each, whose sum represents a float32


@dataclass(frozen=True)
class Tile:
    """Scores of some queries and codes, minus an offset per query."""

    rows: slice
    columns: slice
    scores_BC: Tensor
    margin_B: Tensor  # a score outside of +- this has the sign of the true difference


class Scores:
    """The dot products of queries with codes, float32 or float64, both in one precision and on one device; finite."""

    def __init__(self, query_ND: Tensor, code_MD: Tensor) -> None:
        self.query_ND, self.code_MD = query_ND, code_MD
        self.query_norm_N, self.code_norm_M = _norms(query_ND), _norms(code_MD)
        self._queries, self._codes = query_ND.cpu().numpy(), code_MD.cpu().numpy()

    def tiles(
        self, offset_N: np.ndarray, dtype: torch.dtype | None = None, among: slice = slice(None)
    ) -> Iterator[Tile]:
        """All scores minus each query's offset, one tile at a time: all queries with the first codes come first.

        The offset is subtracted inside the product, as dimensions that hold -offset and 1. So the rounding error is
        smallest near the offset, where precision matters.

        Args:
            offset_N: float64.
            dtype: of the products: bfloat16 or the embeddings' own; None takes the fastest.
            among: the codes to score.
        """
        dtype, device = dtype or self.fast_dtype, self.query_ND.device
        begin, end, _ = among.indices(len(self.code_MD))
        rows, columns = TILES[device.type]
        shift_N = torch.from_numpy(offset_N).to(device)
        extended_ND, lost_N = _extended(self.query_ND, shift_N, dtype)
        # bounds the error of a sum of rounded products, relative to the norms, in every rounding mode
        eps = extended_ND.shape[1] * torch.finfo(torch.promote_types(dtype, torch.float32)).eps
        for first in range(begin, end, columns):
            part = slice(first, min(first + columns, end))
            code_CD = self.code_MD[part].to(dtype)
            extended_CD = torch.cat([code_CD, code_CD.new_ones(len(code_CD), TERMS)], dim=1)
            norm, lost = self.code_norm_M[part].max(), _norms(self.code_MD[part] - code_CD).max()
            size_N = (self.query_norm_N + lost_N) * (norm + lost)
            error_N = lost_N * norm + (self.query_norm_N + lost_N) * lost + eps * (size_N + shift_N.abs())
            # a little more, since scores and margin are rounded too
            margin_N = (error_N * (1 + 2**-5) + TINY).to(dtype)
            for start in range(0, len(extended_ND), rows):
                own = slice(start, min(start + rows, len(extended_ND)))
                with _full_precision(device.type):
                    scores_BC = product(extended_ND[own], extended_CD)
                yield Tile(own, part, scores_BC, margin_N[own])

    def exact(self, row_P: np.ndarray, column_P: np.ndarray) -> np.ndarray:
        """float64 (P,) scores of pairs, all computed with the same order of additions.

        So equal codes tie to the last bit. BLAS does not guarantee that: its rounding depends on the matrix position.
        """
        scores_P = np.empty(len(row_P))
        for start in range(0, len(row_P), EXACT_PAIRS):
            own = slice(start, start + EXACT_PAIRS)
            products_PD = self._queries[row_P[own]].astype(np.float64) * self._codes[column_P[own]]
            scores_P[own] = products_PD.sum(axis=1)
        return scores_P

    def signs(self, row_P: np.ndarray, column_P: np.ndarray, offset_N: np.ndarray) -> np.ndarray:
        """(P,) signs of the exact scores of pairs minus the query's offset. Pairs of a query are adjacent."""
        difference_P = np.empty(len(row_P), self._queries.dtype)
        starts = np.flatnonzero(np.diff(row_P, prepend=-1))
        for start, stop in zip(starts, np.append(starts[1:], len(row_P))):
            difference_P[start:stop] = self._codes[column_P[start:stop]] @ self._queries[row_P[start]]
        difference_P -= offset_N[row_P]
        sign_P = np.sign(difference_P)
        size_P = self.query_norm_N.cpu().numpy()[row_P] * self.code_norm_M.cpu().numpy()[column_P]
        eps = self._queries.shape[1] * torch.finfo(self.query_ND.dtype).eps
        near_P = np.abs(difference_P) <= eps * (size_P + np.abs(offset_N[row_P])) + TINY
        row_P, column_P = row_P[near_P], column_P[near_P]
        sign_P[near_P] = np.sign(self.exact(row_P, column_P) - offset_N[row_P])
        return sign_P

    @property
    def fast_dtype(self) -> torch.dtype:
        """bfloat16 where the product is large and the hardware multiplies bfloat16 faster, else the embeddings' own."""
        large = len(self.query_ND) * self.code_MD.numel() >= LARGE
        half = large and self.query_ND.dtype == torch.float32 and _multiplies_bfloat16(self.query_ND.device)
        return torch.bfloat16 if half else self.query_ND.dtype


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16; emulation is slow."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    features: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # of torch 2.10 and later
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))


def _extended(query_ND: Tensor, offset_N: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Queries in `dtype`, extended by numbers whose sum is -offset, and the norms of their rounding errors."""
    low_ND, terms = query_ND.to(dtype), []
    for _ in range(TERMS):
        terms.append(-offset_N.to(dtype))
        offset_N = offset_N + terms[-1]
    return torch.cat([low_ND, torch.stack(terms, dim=1)], dim=1), _norms(query_ND - low_ND)


def _norms(embeddings: Tensor) -> Tensor:
    """float64 (rows,). On the CPU without a copy in float64, which would need the most memory of all."""
    if embeddings.device.type != "cpu":
        norms: Tensor = torch.linalg.vector_norm(embeddings, dim=1, dtype=torch.float64)
        return norms
    values = embeddings.numpy()
    return torch.from_numpy(np.sqrt(np.einsum("nd,nd->n", values, values, dtype=np.float64)))


@contextmanager
def _full_precision(device_type: str) -> Iterator[None]:
    """Products in the precision of their factors, regardless of the caller's TF32 setting and autocast."""
    precision = torch.get_float32_matmul_precision()
    reduced = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = reduced
