"""A toy with known mutual information and planted false negatives, to compare with the estimate log N - L.

B queries, C candidates of each (the positive in column 0, then n = C - 1 negatives), K codes of a query, D dimensions.
All information is in nats. p(c) is the distribution of codes, ratio(q, c) = p(c | q) / p(c).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from src.losses.base import weighted_infonce_rows
from src.losses.soft_infonce import SoftInfoNCE
from src.metrics.ranking import ranks_of_scores

LogWeights = Callable[["Contrast"], Tensor | None]


@dataclass(frozen=True)
class Gaussians:
    """Queries and codes whose coordinates are standard normal, each correlated with its partner alone."""

    dimensions: int  # D of either
    correlation: float  # rho of a query's coordinate and its code's, in (-1, 1)

    @classmethod
    def with_information(cls, information: float, dimensions: int) -> Gaussians:
        """The toy whose mutual information is this many nats."""
        return cls(dimensions, math.sqrt(-math.expm1(-2 * information / dimensions)))

    @property
    def information(self) -> float:
        """I(q; c) = -D/2 log(1 - rho^2)."""
        return -self.dimensions / 2 * math.log1p(-(self.correlation**2))

    def queries(self, number: int, generator: torch.Generator) -> Tensor:
        """(B, D)."""
        return torch.randn(number, self.dimensions, generator=generator)

    def codes(self, queries_BD: Tensor, each: int, generator: torch.Generator) -> Tensor:
        """(B, K, D) right answers of each query, from p(c | q)."""
        noise_BKD = torch.randn(len(queries_BD), each, self.dimensions, generator=generator)
        return self.correlation * queries_BD[:, None] + math.sqrt(1 - self.correlation**2) * noise_BKD

    def log_ratio(self, queries_BD: Tensor, codes_BKD: Tensor) -> Tensor:
        """log p(c | q) / p(c), (B, K): the best critic that there is; its mean over right answers is `information`."""
        rho2 = self.correlation**2
        query_BK = queries_BD.square().sum(dim=1)[:, None]
        code_BK = codes_BKD.square().sum(dim=2)
        product_BK = torch.einsum("bd,bkd->bk", queries_BD, codes_BKD)
        quadratic_BK = (2 * self.correlation * product_BK - rho2 * (query_BK + code_BK)) / (2 * (1 - rho2))
        return self.information + quadratic_BK


@dataclass(frozen=True)
class Contrast:
    """Queries with their candidates, and the truth about them."""

    queries_BD: Tensor
    candidates_BCD: Tensor
    is_right_BC: Tensor  # bool: drawn from p(c | q); beyond column 0, a planted false negative
    log_ratio_BC: Tensor
    share: float  # of negatives that are planted, in expectation

    @property
    def positive_B(self) -> Tensor:
        return torch.zeros(len(self.queries_BD), dtype=torch.long)

    @property
    def log_met_BC(self) -> Tensor:
        """log m(c | q) / p(c), where negatives come from m = (1 - share) p(c) + share p(c | q)."""
        return torch.log1p(self.share * torch.expm1(self.log_ratio_BC))


def contrast(toy: Gaussians, rows: int, negatives: int, share: float, generator: torch.Generator) -> Contrast:
    """Each negative is a right answer of the row's own query, a false negative, with probability `share`."""
    queries_BD = toy.queries(rows, generator)
    right_BCD = toy.codes(queries_BD, 1 + negatives, generator)
    others_BCD = torch.randn(right_BCD.shape, generator=generator)
    is_right_BC = torch.rand(right_BCD.shape[:2], generator=generator) < share
    is_right_BC[:, 0] = True
    candidates_BCD = torch.where(is_right_BC[..., None], right_BCD, others_BCD)
    return Contrast(queries_BD, candidates_BCD, is_right_BC, toy.log_ratio(queries_BD, candidates_BCD), share)


def estimate(made: Contrast, scores_BC: Tensor, log_weights_BC: Tensor | None = None) -> tuple[float, float]:
    """(log N - L, its standard error), N = n + 1 candidates, L the mean of -s_p + log(e^{s_p} + sum_j w_j e^{s_j}).

    Without weights and with clean negatives a lower bound of I(q; c) on average, and never above log N (van den Oord et
    al. 2018, arXiv 1807.03748).
    """
    loss_B = weighted_infonce_rows(scores_BC, made.positive_B, log_weights_BC)
    return math.log(scores_BC.shape[1]) - float(loss_B.mean()), float(loss_B.std() / math.sqrt(len(loss_B)))


def true_log_weights(made: Contrast) -> Tensor:
    """log p(c) / m(c | q), 0 on the positive: the weights that turn negatives drawn from m into those of p(c)."""
    return -made.log_met_BC.index_fill(1, torch.tensor(0), 0.0)


def shuffled(log_weights_BC: Tensor, generator: torch.Generator) -> Tensor:
    """The same weights of each row, permuted among its negatives: as much weighting, no information."""
    order_BN = torch.rand(log_weights_BC[:, 1:].shape, generator=generator).argsort(dim=1)
    return torch.cat([log_weights_BC[:, :1], log_weights_BC[:, 1:].gather(1, order_BN)], dim=1)


def met_scores(made: Contrast) -> Tensor:
    """log p(c | q) / m(c | q), the critic of lowest loss without weights when n is large.

    It increases with the log ratio, so it ranks codes equally well, with or without false negatives.
    """
    return made.log_ratio_BC - made.log_met_BC


def limit(toy: Gaussians, share: float, rows: int, generator: torch.Generator) -> float:
    """The limit of log N - L without weights: KL(p(c | q) || m(c | q)), below I because of false negatives.

    By Monte Carlo over `rows` right answers. At most log 1 / share; equal to I where share is 0.
    """
    queries_BD = toy.queries(rows, generator)
    log_ratio_B = toy.log_ratio(queries_BD, toy.codes(queries_BD, 1, generator))[:, 0]
    return float((log_ratio_B - torch.log1p(share * torch.expm1(log_ratio_B))).mean())


def weightings(share: float, negatives: int, noise: float, seed: int) -> dict[str, LogWeights]:
    """Name -> log w of a contrast, (B, C), 0 on the positive; None is InfoNCE.

    `infonce`: no weights. `true weights`: `true_log_weights`. `estimated weights`: Soft-InfoNCE's with t = 1, beta = 1
    and alpha the false negatives that a row expects (at least 1); its similarity is the log ratio with normal noise.
    `alpha = 1`: the same at the default. `random weights`: the true ones, permuted.
    """
    generator = torch.Generator().manual_seed(seed)  # its own, so that all weightings see the same contrasts

    def soft(alpha: float) -> LogWeights:
        loss = SoftInfoNCE(alpha, 1.0, 1.0)

        def log_weights(made: Contrast) -> Tensor:
            noise_BC = noise * torch.randn(made.log_ratio_BC.shape, generator=generator)
            return loss.negative_weights(made.log_ratio_BC + noise_BC, made.positive_B).log()

        return log_weights

    return {
        "infonce": lambda made: None,
        "true weights": true_log_weights,
        "estimated weights": soft(max(1.0, share * negatives)),
        "alpha = 1": soft(1.0),
        "random weights": lambda made: shuffled(true_log_weights(made), generator),
    }


class Critic(nn.Module):
    """q W c - a |c|^2: a dual encoder that can express the log ratio up to a constant for each query."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.weight_DD = nn.Parameter(torch.zeros(dimensions, dimensions))
        self.norm_weight = nn.Parameter(torch.zeros(()))

    def forward(self, queries_BD: Tensor, codes_BKD: Tensor) -> Tensor:
        """scores (B, K)."""
        product_BK = torch.einsum("bd,de,bke->bk", queries_BD, self.weight_DD, codes_BKD)
        return product_BK - self.norm_weight * codes_BKD.square().sum(dim=2)


def trained_critic(
    toy: Gaussians,
    log_weights: LogWeights,
    share: float,
    negatives: int,
    steps: int,
    generator: torch.Generator,
    rows: int = 64,
) -> Critic:
    """A critic trained with these weights on fresh contrasts, by Adam at 0.1 falling to 0."""
    critic = Critic(toy.dimensions)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        made = contrast(toy, rows, negatives, share, generator)
        scores_BC = critic(made.queries_BD, made.candidates_BCD)
        loss = weighted_infonce_rows(scores_BC, made.positive_B, log_weights(made)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return critic.requires_grad_(False)


def mrr(scores_BC: Tensor) -> float:
    """MRR of the positives, column 0, among each row's candidates."""
    return float((1 / ranks_of_scores(scores_BC, [0] * len(scores_BC))).mean())
