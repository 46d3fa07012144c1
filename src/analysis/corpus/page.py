"""The page of a survey, with its plots."""

from collections.abc import Mapping
from dataclasses import replace

import matplotlib as mpl
import numpy as np

from src import pages
from src.analysis.corpus.measure import SPLITS, Example, Survey
from src.analysis.corpus.tables import headlines, overview, tables
from src.utils.svg import COLORS, INK, empty_figure, plain, to_svg
from src.utils.tables import first_lines


def page(surveys: Mapping[str, Survey], near: float, title: str, facts: Mapping[str, str]) -> str:
    """HTML; of several languages an overview and then each."""
    shown = [] if "" in surveys else overview(surveys)
    pictures: dict[str, str] = {}
    examples: dict[str, list[pages.Example]] = {}
    for language, survey in surveys.items():
        shown += [replace(table, title=_named(language, table.title)) for table in tables(survey)]
        pictures |= {_named(language, caption): svg for caption, svg in plots(survey).items()}
        for kind, some in survey.examples.items():
            if some:
                examples[_named(language, kind)] = [described(example) for example in some]
    return pages.render(
        pages.BASE,
        title=title,
        headline=headlines(surveys, near),
        facts=facts,
        tables=shown,
        plots=pictures,
        examples_title="Test pairs as examples",
        examples=examples,
    )


def described(example: Example) -> pages.Example:
    """An example's texts: the pair, and the training pair that resembles it where it is a leak."""
    pairs = {"test": example.pair, "train": example.twin} if example.twin else {"query": example.pair}
    return pages.Example(example.note, [(label, pair.query, first_lines(pair.code)) for label, pair in pairs.items()])


def _named(language: str, title: str) -> str:
    return f"{language}: {title}" if language else title


def plots(survey: Survey) -> dict[str, str]:
    """Caption -> SVG."""
    return {
        "What training has seen of the test split.": leak_plot(survey),
        "Test queries whose answer BM25 ranks within the first k (share of queries).": rank_plot(survey),
        "Lengths of queries in words and punctuation marks (share of queries).": length_plot(survey, "queries"),
        "Lengths of codes in words and punctuation marks (share of codes).": length_plot(survey, "codes"),
    }


def leak_plot(survey: Survey) -> str:
    kinds = ("answers", "queries", "answer and query", "candidates")
    figure, axis = empty_figure(2.6)
    for k, kind in enumerate(kinds):
        near, exact = (survey.numbers.get(f"leaks/{kind}/test/{way}", 0) for way in ("near", "exact"))
        axis.barh(k, near, 0.6, color=COLORS[0], alpha=0.45, label="nearly" if k == 0 else None)
        axis.barh(k, exact, 0.6, color=COLORS[0], label="exactly" if k == 0 else None)
        axis.text(near + 0.015, k, f"{100 * near:.1f}%", va="center", color=INK)
    axis.set_yticks(range(len(kinds)), kinds)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.15)
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK)
    return to_svg(figure, "leaks")


def rank_plot(survey: Survey) -> str:
    figure, axis = empty_figure(2.6)
    ranks, candidates = np.sort(survey.ranks), survey.numbers["candidates/test"]
    shares = np.arange(1, len(ranks) + 1) / len(ranks)
    axis.step([*ranks, candidates], [*shares, 1], where="post", color=COLORS[0], linewidth=2)
    axis.set_xscale("log")
    axis.set_xlim(1, max(10, candidates))
    axis.set_ylim(0, 1.02)
    axis.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    _counts(axis)
    axis.grid(color=INK, alpha=0.15, linewidth=0.8)
    return to_svg(figure, "ranks")


def length_plot(survey: Survey, kind: str) -> str:
    figure, axis = empty_figure(2.6)
    lengths = {name: np.maximum(survey.lengths[f"{kind}/{name}"], 1) for name in SPLITS}
    if np.array_equal(lengths["valid"], lengths["test"]):  # one codebase: two lines would be one
        lengths = {"train": lengths["train"], "valid and test": lengths["test"]}
    shortest, longest = (bound(np.concatenate(list(lengths.values()))) for bound in (np.min, np.max))
    edges = np.unique(np.geomspace(shortest, longest + 1, 32).round())  # lengths are whole: finer bins would be empty
    for color, (name, values) in zip(COLORS, lengths.items()):
        shares = np.histogram(values, edges)[0] / len(values)
        axis.stairs(shares, edges, color=color, linewidth=2, label=name)
    axis.set_xscale("log")
    axis.set_xlim(edges[0], edges[-1])
    axis.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5) if longest < 50 * shortest else (1,)))
    axis.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    _counts(axis)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    return to_svg(figure, kind)


def _counts(axis: mpl.axes.Axes) -> None:
    axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.tick_params(which="minor", length=0)
    plain(axis)
