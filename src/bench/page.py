"""What a run of the bench says: words, tables and plots, on the terminal, as Markdown and on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from src.bench.aims import judged
from src.bench.measuring import SECONDS, Contest
from src.pages import render
from src.utils.svg import COLORS, INK, empty_figure, plain, to_svg
from src.utils.tables import Table

AIMS = "Ratios and what they should reach"
SAID = "A ratio is the peer's cost over ours."


@dataclass(frozen=True)
class Report:
    """What was measured, what was left out (`notes`), and where and how (`facts`).

    `judged` says whether the sizes are those that the aims are of.
    """

    contests: Sequence[Contest]
    notes: Sequence[str]
    facts: Mapping[str, str]
    on_gpu: bool = False
    judged: bool = True

    @property
    def ratios(self) -> dict[str, float]:
        """Of all contests."""
        return {key: ratio for contest in self.contests for key, ratio in contest.ratios().items()}


def headline(report: Report) -> list[str]:
    """How many aims are met, then each that is not, then what was left out."""
    if not report.judged:
        return [f"{SAID} These sizes are smaller than those that the aims are of.", *report.notes]
    found = judged(report.ratios, report.on_gpu)
    missed = [(aim, ratio) for aim, ratio in found if not aim.met(ratio)]
    sentences = [f"{len(found) - len(missed)} of {len(found)} aims are met. {SAID}"]
    sentences += [f"{aim.key} is {ratio:.3g}, should be {aim}. {aim.reason}".strip() for aim, ratio in missed]
    return [*sentences, *report.notes]


def tables(report: Report) -> list[Table]:
    rows = [
        (aim.key, f"{ratio:.3g}", str(aim), ("yes" if aim.met(ratio) else "no") if report.judged else "")
        for aim, ratio in judged(report.ratios, report.on_gpu)
    ]
    shown = [Table(AIMS, ("", "ratio", "aim", "met"), rows)] if rows else []
    return [*shown, *(costs(contest) for contest in report.contests if contest.ratios())]


def costs(contest: Contest) -> Table:
    rows = []
    for size, ways in sorted(contest.costs.items()):
        for way, values in ways.items():
            ratios = contest.rounds(size, way)
            low, high = np.quantile(ratios, (0.25, 0.75))
            spread = f"{low:.3g} to {high:.3g}" if len(ratios) > 1 else ""
            cost = amount(float(np.median(values)), contest.unit)
            rows.append((f"{way}, {size:,}", cost, f"{np.median(ratios):.3g}", spread))
    title = contest.title[0].upper() + contest.title[1:]
    return Table(title, (contest.what, "cost", "ratio", "middle half of rounds"), rows)


def amount(value: float, unit: str) -> str:
    """0.0123 s -> 12.3 ms."""
    if unit == SECONDS and value < 1:
        return f"{1e3 * value:.3g} ms" if value >= 1e-3 else f"{1e6 * value:.3g} µs"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def markdown(report: Report) -> str:
    """The same as a section of a document."""
    lines = [f"{name}: {fact}  " for name, fact in report.facts.items()]
    for table in tables(report):
        lines += ["", f"**{table.title}**", "", "| " + " | ".join(table.columns) + " |"]
        lines += ["|---" + "|---:" * (len(table.columns) - 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    first, *others = headline(report)
    return "\n".join([*lines, "", first, "", *(f"- {sentence}" for sentence in others)]).rstrip() + "\n"


def page(report: Report) -> str:
    """HTML that needs nothing else."""
    return render(
        Path(__file__).with_name("bench.html"),
        title="How fast is it, beside its peers?",
        headline=headline(report),
        facts=report.facts,
        tables=tables(report),
        plots={caption: Markup(svg) for caption, svg in plots(report.contests).items()},
    )


def plots(contests: Sequence[Contest]) -> dict[str, str]:
    """Caption -> SVG: bars where there is one size, lines over N where there are more."""
    return {
        f"{contest.what}: {contest.title} ({contest.unit}).": (lines if len(contest.costs) > 1 else bars)(contest)
        for contest in contests
        if contest.costs
    }


def bars(contest: Contest) -> str:
    ((_, ways),) = contest.costs.items()
    figure, axis = empty_figure(0.6 + 0.4 * len(ways))
    values = [float(np.median(cost)) for cost in ways.values()]
    axis.barh(range(len(ways)), values, 0.6, color=[COLORS[min(i, 1)] for i in range(len(ways))])
    for place, value in enumerate(values):
        axis.text(value, place, f" {amount(value, contest.unit)}", va="center", color=INK)
    axis.set_yticks(range(len(ways)), list(ways))
    axis.invert_yaxis()
    axis.set_xlim(0, 1.3 * max(values))
    axis.set_xticks([])
    return to_svg(figure, contest.what)


def lines(contest: Contest) -> str:
    figure, axis = empty_figure(2.8)
    sizes = sorted(contest.costs)
    names = dict.fromkeys(name for size in sizes for name in contest.costs[size])
    for color, name in zip(COLORS, names):
        points = [(size, float(np.median(contest.costs[size][name]))) for size in sizes if name in contest.costs[size]]
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
    return to_svg(figure, contest.what)
