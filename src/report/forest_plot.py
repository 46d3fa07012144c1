"""Forest plot of the differences to a baseline: a panel per setting, a line with its 95% interval per row."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from src.report.compare import Comparison
from src.report.plots import draw_differences
from src.utils.errors import InputError
from src.utils.svg import plain


def plot_differences(comparisons: Sequence[Comparison], path: Path, baseline: str = "infonce") -> None:
    """Saves the plot; a row in grey is undecided after Holm's correction.

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
