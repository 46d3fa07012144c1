"""Forest plot of the differences to a baseline: a panel per setting, a line with its 95% interval per row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from src.report.compare import Comparison
from src.utils.errors import InputError

BETTER, WORSE, UNDECIDED = "#2f7d4f", "#b3423a", "#6b7280"


def plot_differences(comparisons: Sequence[Comparison], path: Path, baseline: str = "infonce") -> None:
    """Saves the plot; a row whose interval contains zero is undecided.

    Raises InputError where nothing can be compared.
    """
    panels = {comparison.title: comparison.compared for comparison in comparisons if comparison.compared}
    if not panels:
        raise InputError(f"plot compares with {baseline}: give runs of it and of others, same seeds")
    most = max(len(rows) for rows in panels.values())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.4 * len(panels), 0.9 + 0.32 * most), squeeze=False, constrained_layout=True
    )
    for axis, (title, rows) in zip(axes[0], panels.items()):
        axis.axvline(0, color="#9ca3af", linewidth=1)
        for place, (_, d) in enumerate(rows):
            color = BETTER if d.low > 0 else WORSE if d.high < 0 else UNDECIDED
            axis.plot([d.low, d.high], [place, place], color=color, linewidth=2, solid_capstyle="round")
            axis.plot(d.mean, place, "o", color=color, markersize=5)
        axis.set_yticks(range(len(rows)), [row.cell.name for row, _ in rows])
        axis.invert_yaxis()
        axis.margins(y=0.12)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel(f"MRR minus {baseline} (95%)", fontsize=9)
        axis.tick_params(labelsize=9, length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
        axis.set_axisbelow(True)
    figure.savefig(path, dpi=160, facecolor="white")
    plt.close(figure)
