"""The results of the benchmarks and their targets, in sentences, tables and plots, for terminal, Markdown and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from src.bench.measurement import SECONDS, Benchmark
from src.pages import BASE, render
from src.utils.svg import COLORS, INK, empty_figure, plain, to_svg
from src.utils.tables import Table, markdown_table

RATIO = "A ratio is the peer's cost over ours."


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


@dataclass(frozen=True)
class Report:
    """What was measured, what was left out (`notes`), and where and how (`facts`).

    `judged` says whether the sizes are those for which the targets are set.
    """

    benchmarks: Sequence[Benchmark]
    notes: Sequence[str]
    facts: Mapping[str, str]
    on_gpu: bool = False
    judged: bool = True

    @property
    def ratios(self) -> dict[str, float]:
        """All benchmarks' ratios."""
        return {key: ratio for benchmark in self.benchmarks for key, ratio in benchmark.ratios().items()}


def headline(report: Report) -> list[str]:
    """How many targets are met, then each one that is missed, then what was left out."""
    if not report.judged:
        return [f"{RATIO} These sizes are smaller than those for which the targets are set.", *report.notes]
    found = compared(report.ratios, report.on_gpu)
    missed = [(target, ratio) for target, ratio in found if not target.met(ratio)]
    sentences = [f"{len(found) - len(missed)} of {len(found)} targets are met. {RATIO}"]
    sentences += [
        f"{target.key} is {ratio:.3g}, should be {target}. {target.reason}".strip() for target, ratio in missed
    ]
    return [*sentences, *report.notes]


def tables(report: Report) -> list[Table]:
    rows = [
        (target.key, f"{ratio:.3g}", str(target), ("yes" if target.met(ratio) else "no") if report.judged else "")
        for target, ratio in compared(report.ratios, report.on_gpu)
    ]
    shown = [Table("Ratios and their targets", ("", "ratio", "target", "met"), rows)] if rows else []
    return [*shown, *(costs(benchmark) for benchmark in report.benchmarks if benchmark.ratios())]


def costs(benchmark: Benchmark) -> Table:
    rows = []
    for size, ways in sorted(benchmark.costs.items()):
        for way, values in ways.items():
            ratios = benchmark.rounds(size, way)
            low, high = np.quantile(ratios, (0.25, 0.75))
            spread = f"{low:.3g} to {high:.3g}" if len(ratios) > 1 else ""
            cost = amount(float(np.median(values)), benchmark.unit)
            rows.append((f"{way}, {size:,}", cost, f"{np.median(ratios):.3g}", spread))
    title = benchmark.title[0].upper() + benchmark.title[1:]
    return Table(title, (benchmark.what, "cost", "ratio", "middle half of rounds"), rows)


def amount(value: float, unit: str) -> str:
    """0.0123 s -> 12.3 ms."""
    if unit == SECONDS and value < 1:
        return f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.3g} µs"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def markdown(report: Report) -> str:
    """The same as a section of a document."""
    facts = "\n".join(f"{name}: {fact}  " for name, fact in report.facts.items())
    first, *others = headline(report)
    ending = "\n".join(f"- {sentence}" for sentence in others)
    return "\n\n".join([facts, *map(markdown_table, tables(report)), first, ending]).rstrip() + "\n"


def page(report: Report) -> str:
    """HTML that needs nothing else."""
    return render(
        BASE,
        title="How fast is it, compared with its peers?",
        headline=headline(report),
        facts=report.facts,
        tables=tables(report),
        plots=plots(report.benchmarks),
    )


def plots(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """Caption -> SVG: bars where there is one size, lines over N where there are more."""
    return {
        f"{benchmark.what}: {benchmark.title} ({benchmark.unit}).": (lines if len(benchmark.costs) > 1 else bars)(
            benchmark
        )
        for benchmark in benchmarks
        if benchmark.costs
    }


def bars(benchmark: Benchmark) -> str:
    ((_, ways),) = benchmark.costs.items()
    figure, axis = empty_figure(0.6 + 0.4 * len(ways))
    values = [float(np.median(cost)) for cost in ways.values()]
    axis.barh(range(len(ways)), values, 0.6, color=[COLORS[min(i, 1)] for i in range(len(ways))])
    for place, value in enumerate(values):
        axis.text(value, place, f" {amount(value, benchmark.unit)}", va="center", color=INK)
    axis.set_yticks(range(len(ways)), list(ways))
    axis.invert_yaxis()
    axis.set_xlim(0, 1.3 * max(values))
    axis.set_xticks([])
    return to_svg(figure, benchmark.what)


def lines(benchmark: Benchmark) -> str:
    figure, axis = empty_figure(2.8)
    sizes = sorted(benchmark.costs)
    names = dict.fromkeys(name for size in sizes for name in benchmark.costs[size])
    for color, name in zip(COLORS, names):
        points = [
            (size, float(np.median(benchmark.costs[size][name]))) for size in sizes if name in benchmark.costs[size]
        ]
        axis.plot(*zip(*points), "o-", color=color, linewidth=2, markersize=4, label=name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(sizes)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_formatter(NullFormatter())
    plain(axis)
    axis.grid(color=INK, alpha=0.15, linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    return to_svg(figure, benchmark.what)
