"""What the figures should reach, and why one that does not cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Aim:
    """A ratio to reach, or where `at_most` to stay below."""

    key: str
    value: float
    at_most: bool = False
    reason: str = ""  # why it is missed where it is

    def met(self, ratio: float) -> bool:
        return ratio <= self.value if self.at_most else ratio >= self.value

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.value:g}"


SMALL_BLOCK = (
    "A block this small is forty calls of numpy and scipy, of a microsecond each; only compiled code would need fewer."
)
PAPER_PADDING = (
    "What is gained is the padding left out: 44% of a code's padded tokens, more of a query's. The rest of a step is "
    "the same arithmetic."
)


def aims(on_gpu: bool) -> list[Aim]:
    """In the order of a table."""
    step = 1.5 if on_gpu else 2.5
    return [
        Aim("train_step/naive_padded", step, reason=PAPER_PADDING),
        Aim("train_step_bf16/naive_padded", step, reason=PAPER_PADDING),
        Aim("train_step_best/naive_padded", 3.0, reason=PAPER_PADDING),
        Aim("train_step/sentence_transformers", 1.5, reason=PAPER_PADDING),
        Aim("train_step_bf16/sentence_transformers", 1.5, reason=PAPER_PADDING),
        *(Aim(f"bm25_block/paper_loops@{n}", 250, reason=SMALL_BLOCK if n < 64 else "") for n in (32, 64, 256, 1024)),
        *(Aim(f"bm25_block/bm25s@{n}", 5) for n in (32, 64, 256, 1024)),
        Aim("evaluation/argsort", 4),
        Aim("evaluation/faiss", 1.2),
        Aim("evaluation_memory/argsort", 30),
        Aim("loss_time/plain@1024", 1.0, reason="Within what two runs of the same code differ by."),
        Aim("loss_time/plain@16384", 2.0),
        Aim("loss_memory/plain@16384", 30),
        *(Aim(f"estimator_overhead/{name}", 1.03, True) for name in ("bm25", "simcse", "trained_model", "mixture")),
        Aim("gradient_caching/batch_4096", 1.5, True),
        Aim(
            "gradient_caching_memory/batch_4096",
            1.1,
            True,
            reason="Beside a chunk's activations there are the tokens and the embeddings of 4,096 pairs.",
        ),
    ]


def judged(ratios: Mapping[str, float], on_gpu: bool) -> list[tuple[Aim, float]]:
    """The aims of which there is a figure."""
    return [(aim, ratios[aim.key]) for aim in aims(on_gpu) if aim.key in ratios]
