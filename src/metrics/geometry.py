"""Where embeddings lie on the sphere: alignment of positives, uniformity of all.

Source: Wang and Isola 2020, arXiv 2005.10242. Always computed on normalised embeddings, so that runs of models
with different similarities can be compared.
"""

import torch
from torch.nn import functional as F


def alignment(queries_ND: torch.Tensor, codes_ND: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of a query to its own code, between 0 (identical) and 4 (opposite)."""
    return (F.normalize(queries_ND, dim=1) - F.normalize(codes_ND, dim=1)).square().sum(dim=1).mean()


def uniformity(embeddings_ND: torch.Tensor, max_rows: int = 2048) -> torch.Tensor:
    """log E exp(-2 ||x - y||^2) over pairs of at most `max_rows` rows, from 0 (all in one point) to -4 (spread)."""
    step = max(1, -(-len(embeddings_ND) // max_rows))
    distances = torch.pdist(F.normalize(embeddings_ND[::step], dim=1))
    return distances.square().mul(-2).exp().mean().log() if len(distances) else embeddings_ND.new_zeros(())
