"""The ratios that should be reached, and why those that are missed cannot be."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A ratio to reach or, where `at_most`, not to exceed."""

    key: str
    value: float
    at_most: bool = False
    reason: str = ""  # why it may be missed

    def met(self, ratio: float) -> bool:
        return ratio <= self.value if self.at_most else ratio >= self.value

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.value:g}"


SMALL_BLOCK = (
    "A block this small is forty calls of numpy and scipy, of a microsecond each; only compiled code would need fewer."
)
PAPER_PADDING = (
    "The gain is the padding that is left out: 44% of a code's padded tokens, more of a query's. The rest of a step is "
    "the same arithmetic."
)


def targets(on_gpu: bool) -> list[Target]:
    """In the order of a table."""
    step = 1.5 if on_gpu else 2.5
    return [
        Target("train_step/naive_padded", step, reason=PAPER_PADDING),
        Target("train_step_bf16/naive_padded", step, reason=PAPER_PADDING),
        Target("train_step_best/naive_padded", 3.0, reason=PAPER_PADDING),
        Target("train_step/sentence_transformers", 1.5, reason=PAPER_PADDING),
        Target("train_step_bf16/sentence_transformers", 1.5, reason=PAPER_PADDING),
        *(
            Target(f"bm25_block/paper_loops@{n}", 250, reason=SMALL_BLOCK if n < 64 else "")
            for n in (32, 64, 256, 1024)
        ),
        *(Target(f"bm25_block/bm25s@{n}", 5) for n in (32, 64, 256, 1024)),
        Target("evaluation/argsort", 4),
        Target("evaluation/faiss", 1.2),
        Target("evaluation_memory/argsort", 30),
        Target("loss_time/plain@1024", 1.0, reason="Within what two runs of the same code differ by."),
        Target("loss_time/plain@16384", 2.0),
        Target("loss_memory/plain@16384", 30),
        *(Target(f"estimator_overhead/{name}", 1.03, True) for name in ("bm25", "simcse", "trained_model", "mixture")),
        Target("gradient_caching/batch_4096", 1.5, True),
        Target(
            "gradient_caching_memory/batch_4096",
            1.1,
            True,
            reason="In addition to a chunk's activations there are the tokens and the embeddings of 4,096 pairs.",
        ),
    ]


def compared(ratios: Mapping[str, float], on_gpu: bool) -> list[tuple[Target, float]]:
    """The targets whose ratio was measured."""
    return [(target, ratios[target.key]) for target in targets(on_gpu) if target.key in ratios]
