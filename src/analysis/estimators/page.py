"""The page of an inspection, with its plots."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from src import pages
from src.analysis.estimators.inspection import Inspection
from src.analysis.estimators.measure import TOP, Example
from src.analysis.estimators.tables import headline, tables
from src.corpora.base import Pair
from src.utils.svg import COLORS, INK, WIDTH, empty_figure, plain, to_svg
from src.utils.tables import first_lines


def page(inspection: Inspection, pairs: Sequence[Pair], facts: Mapping[str, str]) -> str:
    """HTML. `pairs` are the items that were looked at; `facts` what it was measured on."""
    examples: dict[str, list[pages.Example]] = {}
    for name, ordinary in inspection.ordinary.items():
        ends = {"lowest weights": ordinary.lowest, "highest weights, least similar": ordinary.highest}
        for end, some in ends.items():
            examples[f"{name}: {end}"] = [described(example, inspection, pairs) for example in some]
    return pages.render(
        pages.BASE,
        title="How good are the estimators?",
        headline=headline(inspection),
        facts=facts,
        tables=tables(inspection),
        plots=plots(inspection),
        examples_title="Negatives as examples, from random batches",
        examples=examples,
    )


def described(example: Example, inspection: Inspection, pairs: Sequence[Pair]) -> pages.Example:
    """An example's texts and numbers, and why it is a known false negative if it is one."""
    row, column = pairs[example.row], pairs[example.column]
    known = inspection.known
    kinds = [kind for kind, matrix_SS in known.kinds.items() if matrix_SS[example.row, example.column]]
    if not kinds and known.any_SS[example.row, example.column]:
        kinds = ["copy of the pair"]
    return pages.Example(
        f"weight {example.weight:.3f}, similarity {example.similarity:.3g}",
        [("query", row.query, first_lines(row.code)), ("negative", column.query, first_lines(column.code))],
        f"known: {', '.join(kinds)}" if kinds else "",
    )


def plots(inspection: Inspection) -> dict[str, str]:
    """Caption -> SVG."""
    made = {}
    if any(key.startswith("auc/") for key in inspection.numbers):
        made["AUC of detecting planted false negatives, with 95% intervals; 0.5 is chance."] = auc_plot(inspection)
    weights = {name: ordinary.weights_N for name, ordinary in inspection.ordinary.items()}
    similarities = {name: ordinary.similarities_N for name, ordinary in inspection.ordinary.items()}
    limits = (min(0.0, *(w.min() for w in weights.values())), max(w.max() for w in weights.values()) + 1e-6)
    made["Weights of all negatives in random batches (share of negatives, logarithmic)."] = histograms(weights, limits)
    made["Similarities of the same negatives, in each estimator's own unit."] = histograms(similarities, None)
    if len(inspection.estimators) > 1:
        caption = f"Agreement: below, Spearman correlation; above, share of the {TOP} most similar in common."
        made[caption] = agreement_plot(inspection)
    return made


def auc_plot(inspection: Inspection) -> str:
    step = len(inspection.estimators) + 1
    figure, axis = empty_figure(0.7 + 0.24 * step * len(inspection.kinds))
    for k, kind in enumerate(inspection.kinds):
        for i, name in enumerate(inspection.estimators):
            n, color, place = inspection.about(f"{kind}/{name}"), COLORS[i % len(COLORS)], k * step + i
            if n:
                ends = [n["auc_low"], n["auc_high"]]
                axis.plot(ends, [place, place], color=color, linewidth=2.5, solid_capstyle="round")
                axis.plot(n["auc"], place, "o", color=color, markersize=6, label=name if k == 0 else None)
    axis.axvline(0.5, color=INK, alpha=0.6, linewidth=1, linestyle=(0, (3, 3)))
    axis.set_yticks([k * step + (step - 2) / 2 for k in range(len(inspection.kinds))], inspection.kinds)
    axis.set_xlim(min(0.45, axis.get_xlim()[0]), 1.01)
    axis.margins(y=0.1)
    axis.invert_yaxis()
    axis.grid(axis="x", color=INK, alpha=0.15, linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, handletextpad=0.2)
    return to_svg(figure, "auc")


def histograms(values: Mapping[str, np.ndarray], limits: tuple[float, float] | None) -> str:
    """One panel per estimator; the same axis in all where `limits` are given."""
    figure = Figure(figsize=(WIDTH, 0.4 + 0.95 * len(values)), layout="constrained")
    panels = figure.subplots(len(values), 1, squeeze=False)[:, 0]
    for i, (axis, (name, value_N)) in enumerate(zip(panels, values.items())):
        counts, edges = np.histogram(value_N, bins=40, range=limits)
        axis.bar(edges[:-1], counts / max(len(value_N), 1), np.diff(edges), align="edge", color=COLORS[i % len(COLORS)])
        axis.set_yscale("log")
        axis.set_ylim(0.5 / max(len(value_N), 1), 2)
        axis.set_yticks([1e-4, 1e-2, 1], ["0.01%", "1%", "100%"])
        axis.yaxis.set_minor_locator(mpl.ticker.NullLocator())
        axis.set_title(name, loc="left", fontsize=10, color=INK, pad=3)
        plain(axis)
        if limits and i < len(values) - 1:
            axis.set_xticklabels([])
    return to_svg(figure, "weights" if limits else "similarities")


def agreement_plot(inspection: Inspection) -> str:
    names = inspection.estimators
    figure, axis = empty_figure(0.8 + 0.55 * len(names))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            value = inspection.numbers.get(f"top{TOP}_overlap/{a}/{b}" if i < j else f"spearman/{b}/{a}")
            if value is None:
                continue
            shade = min(1.0, abs(value))
            axis.add_patch(mpl.patches.Rectangle((j, i), 1, 1, color=COLORS[0], alpha=shade, linewidth=0))
            text = f"{value:.2f}" if i > j else f"{100 * value:.0f}%"
            axis.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=INK)
    centres = np.arange(len(names)) + 0.5
    axis.set_xticks(centres, names)
    axis.set_yticks(centres, names)
    axis.set(xlim=(0, len(names)), ylim=(len(names), 0))
    axis.spines[:].set_visible(False)
    return to_svg(figure, "agreement")
