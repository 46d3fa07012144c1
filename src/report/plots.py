"""Plots of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from src.report.compare import Comparison, Difference, Row
from src.report.runs import Run
from src.utils.errors import InputError
from src.utils.svg import COLORS, INK, WIDTH, empty_figure, plain, to_svg

BETTER, WORSE = COLORS[2], COLORS[4]
MARKERS = "os^Dv"  # with each, all colours
LEGEND_LINE = 0.18  # inches
DIAGNOSTICS = {
    "weights/share_clipped": "share of negatives whose weight was clipped",
    "weights/effective_negatives": "effective negatives of a row (Kish)",
}
Curve = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # x, mean, lowest, highest over seeds


def plots(comparison: Comparison) -> dict[str, str]:
    """Caption -> SVG, of the metrics that the runs have logged."""
    made: dict[str, str] = {}
    base = comparison.baseline
    salt = "/".join(comparison.setting)
    if comparison.compared:
        caption = f"MRR minus {base}: 95% over queries; dots: seeds. In colour: decided after Holm's correction."
        made[caption] = forest(comparison, salt)
    curves = {row.cell.name: curve(row, "val/mrr", 0) for row in comparison.rows}
    if any(found is not None and len(found[0]) > 1 for found in curves.values()):
        grey = f"; grey: {base}" if curves.get(base) is not None else ""
        made[f"Learning curves: val/mrr after each epoch, mean and range of the seeds{grey}."] = small_multiples(
            {name: found for name, found in curves.items() if found is not None}, base, salt
        )
    for metric, caption in DIAGNOSTICS.items():
        steps = {row.cell.name: own for row in comparison.rows if (own := curve(row, metric, 1)) is not None}
        if steps:
            made[f"Weights over training steps: {caption}, mean of the seeds."] = lines(comparison, steps, metric, salt)
    if any("val/alignment" in run.history for row in comparison.rows for run in row.cell.runs):
        caption = (
            "Alignment and uniformity on valid at the epoch that was kept, one mark per seed; lower is better in both."
        )
        made[caption] = plane(comparison, salt)
    return made


def curve(row: Row, metric: str, axis: int) -> Curve | None:
    """Mean and range over seeds, by epoch (axis 0) or step (axis 1), where all seeds that logged it have a value."""
    runs = [run.history[metric] for run in row.cell.runs if metric in run.history]
    if not runs:
        return None
    values = [dict(zip(history[axis], history[2])) for history in runs]
    shared = sorted(set.intersection(*(set(own) for own in values)))
    if not shared:
        return None
    value_SX = np.array([[own[x] for x in shared] for own in values])
    return np.array(shared), value_SX.mean(axis=0), value_SX.min(axis=0), value_SX.max(axis=0)


def style(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Colour and marker of each row, the same in all plots; the page's text colour for the baseline."""
    others = [row.cell.name for row in comparison.rows if row.cell.name != comparison.baseline]
    styles = {
        name: (COLORS[i % len(COLORS)], MARKERS[i // len(COLORS) % len(MARKERS)]) for i, name in enumerate(others)
    }
    return {comparison.baseline: (INK, "o"), **styles}


def plot_differences(comparisons: Sequence[Comparison], path: Path, baseline: str) -> None:
    """Saves a forest plot with a panel per setting; a row in grey is undecided after Holm's correction.

    Raises InputError where nothing can be compared.
    """
    panels = {comparison.title: comparison.compared for comparison in comparisons if comparison.compared}
    if not panels:
        raise InputError(f"plot compares with {baseline}: give runs of it and of others, same seeds")
    most = max(len(rows) for rows in panels.values())
    figure = Figure(figsize=(4.4 * len(panels), 0.9 + 0.32 * most), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, rows) in zip(axes, panels.items()):
        plain(axis)
        draw_differences(axis, rows)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel(f"MRR minus {baseline} (95%)", fontsize=9)
    figure.savefig(path, dpi=160, facecolor="white")


def forest(comparison: Comparison, salt: str) -> str:
    figure, axis = empty_figure(0.6 + 0.28 * len(comparison.compared))
    draw_differences(axis, comparison.compared)
    axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4, symmetric=False))
    return to_svg(figure, f"differences {salt}")


def draw_differences(axis: Axes, compared: Sequence[tuple[Row, Difference]]) -> None:
    """A line for each row: its 95% interval, mean and seeds; in colour where Holm's correction leaves it decided."""
    axis.axvline(0, color=INK, alpha=0.6, linewidth=1)
    for place, (_, d) in enumerate(compared):
        color = {"better": BETTER, "worse": WORSE, "undecided": INK}[d.verdict]
        alpha = 0.55 if d.verdict == "undecided" else 1
        axis.plot([d.low, d.high], [place, place], color=color, alpha=alpha, linewidth=2.5, solid_capstyle="round")
        axis.plot(list(d.per_seed.values()), [place] * len(d.per_seed), "o", color=color, alpha=0.5, markersize=2.5)
        axis.plot(d.mean, place, "o", color=color, markersize=6)
    axis.set_yticks(range(len(compared)), [wrapped(row.cell.name) for row, _ in compared])
    axis.set_ylim(len(compared) - 0.4, -0.6)
    axis.grid(axis="x", color=INK, alpha=0.15, linewidth=0.8)


def small_multiples(curves: dict[str, Curve], baseline: str, salt: str) -> str:
    """One panel for each row, the baseline in all of them; the same axes."""
    names = [name for name in curves if name != baseline] or [baseline]
    rows = -(-len(names) // 2)
    figure = Figure(figsize=(WIDTH, 0.3 + 1.15 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, name in zip(panels, names):
        plain(axis)
        if baseline in curves:
            x, mean, *_ = curves[baseline]
            axis.plot(x + 1, mean, color=INK, alpha=0.5, linewidth=1.5)
        if name != baseline:
            x, mean, low, high = curves[name]
            axis.fill_between(x + 1, low, high, color=COLORS[0], alpha=0.25, linewidth=0)
            axis.plot(x + 1, mean, color=COLORS[0], linewidth=1.8, marker="o", markersize=2.5)
        axis.set_title(wrapped(name), loc="left", fontsize=9, color=INK, pad=3)
        axis.grid(axis="y", color=INK, alpha=0.15, linewidth=0.8)
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=True))
        axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    for axis in panels[len(names) :]:
        axis.set_visible(False)
    if len(names) % 2 and rows > 1:
        panels[-3].tick_params(labelbottom=True)  # no panel below shows them
    return to_svg(figure, f"curves {salt}")


def lines(comparison: Comparison, curves: Mapping[str, Curve], metric: str, salt: str) -> str:
    figure, axis = empty_figure(2.2 + LEGEND_LINE * legend_lines(list(curves)))
    styles = style(comparison)
    for name, (x, mean, *_) in curves.items():
        color, marker = styles[name]
        dashes = (0, (4, 2)) if marker != "o" else "solid"
        axis.plot(x, mean, color=color, linestyle=dashes, linewidth=1.8, label=name)
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    if metric == "weights/share_clipped":
        axis.set_ylim(bottom=0)
        axis.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
    axis.grid(axis="y", color=INK, alpha=0.15, linewidth=0.8)
    axis.xaxis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:,.0f}"))
    legend(figure, axis)
    return to_svg(figure, f"{metric} {salt}")


def plane(comparison: Comparison, salt: str) -> str:
    styles = style(comparison)
    figure, axis = empty_figure(3.0 + LEGEND_LINE * legend_lines([row.cell.name for row in comparison.rows]))
    for row in comparison.rows:
        color, marker = styles[row.cell.name]
        points = [point for run in row.cell.runs if (point := at_kept(run))]
        if points:
            x, y = zip(*points)
            axis.scatter(x, y, s=30, color=color, marker=marker, alpha=0.85, linewidths=0, label=row.cell.name)
    axis.set_xlabel("alignment", color=INK)
    axis.set_ylabel("uniformity", color=INK)
    axis.grid(color=INK, alpha=0.15, linewidth=0.8)
    axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4))
    legend(figure, axis)
    return to_svg(figure, f"plane {salt}")


def at_kept(run: Run) -> tuple[float, float] | None:
    """(alignment, uniformity) at the epoch that was tested: with the best val/mrr, or the last with keep=last."""
    if not {"val/mrr", "val/alignment", "val/uniformity"} <= run.history.keys():
        return None
    epochs, _, mrr = run.history["val/mrr"]
    epoch = epochs[-1] if run.config.get("keep") == "last" else epochs[np.argmax(mrr)]
    alignment, uniformity = (
        dict(zip(*run.history[name][::2])).get(epoch) for name in ("val/alignment", "val/uniformity")
    )
    return None if alignment is None or uniformity is None else (alignment, uniformity)


def legend(figure: Figure, axis: Axes) -> None:
    _, labels = axis.get_legend_handles_labels()
    figure.legend(
        loc="outside lower center",
        ncols=legend_columns(labels),
        frameon=False,
        labelcolor=INK,
        fontsize=9,
        handletextpad=0.4,
        columnspacing=1,
        labelspacing=0.3,
    )


def legend_columns(labels: Sequence[str]) -> int:
    return 2 if max(map(len, labels)) <= 28 else 1


def legend_lines(labels: Sequence[str]) -> int:
    return -(-len(labels) // legend_columns(labels))


def wrapped(name: str) -> str:
    """A long name on two lines."""
    return name.replace(", ", ",\n", 1) if len(name) > 26 else name
