"""The losses of the README's table as scalar loops over python floats: slow, and written apart from src."""

from __future__ import annotations

import math


def sigma(similarity: list[float], positive: int, t: float) -> dict[int, float]:
    """Softmax of similarity / t over the row's negatives, by column."""
    logits = {j: s / t for j, s in enumerate(similarity) if j != positive}
    top = max(logits.values())
    total = math.fsum(math.exp(x - top) for x in logits.values())
    return {j: math.exp(x - top) / total for j, x in logits.items()}


def log_sum_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values))


def infonce(s: list[float], p: int) -> float:
    return -s[p] + log_sum_exp(s)


def soft_weights(sim: list[float], p: int, alpha: float, beta: float, t: float, min_weight: float) -> dict[int, float]:
    n = len(sim) - 1
    return {j: max(min_weight, (beta - alpha * x) / (beta - alpha / n)) for j, x in sigma(sim, p, t).items()}


def soft_infonce(
    s: list[float], p: int, sim: list[float], alpha: float, beta: float, t: float, min_weight=0.1
) -> float:
    weights = soft_weights(sim, p, alpha, beta, t, min_weight)
    return -s[p] + log_sum_exp([s[p]] + [s[j] + math.log(w) for j, w in weights.items()])


def weighted_infonce(s: list[float], p: int, sim: list[float], t: float) -> float:
    total = log_sum_exp(s)
    labels = {p: 1.0, **sigma(sim, p, t)}
    return -math.fsum(y * (s[j] - total) for j, y in labels.items())


def bce(s: list[float], p: int, sim: list[float], t: float) -> float:
    total = log_sum_exp(s)
    labels = {p: 1.0, **sigma(sim, p, t)}
    terms = []
    for j, y in labels.items():
        others = log_sum_exp([s[k] for k in range(len(s)) if k != j]) - total
        terms.append(-(y * (s[j] - total) + (1 - y) * others))
    return math.fsum(terms) / len(s)


def kl_regularized(s: list[float], p: int, sim: list[float], alpha: float, beta: float, t: float) -> float:
    labels = sigma(sim, p, t)
    total = log_sum_exp([s[j] for j in labels])
    divergence = math.fsum(y * (math.log(y) - (s[j] - total)) for j, y in labels.items() if y > 0)
    return beta * infonce(s, p) + alpha * divergence


def false_negative_cancellation(s: list[float], p: int, sim: list[float], top_k=None, threshold=None) -> float:
    negatives = [j for j in range(len(s)) if j != p]
    if top_k is not None:
        kept = sorted(negatives, key=lambda j: -sim[j])[top_k:]  # sorted is stable: equal ones in column order
    else:
        kept = [j for j in negatives if sim[j] < threshold * sim[p]]
    return -s[p] + log_sum_exp([s[p]] + [s[j] for j in kept])
