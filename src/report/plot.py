"""Differences to a baseline as a picture: one panel per setting, one line per row, its 95% interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from src.errors import InputError
from src.report.runs import Setting

BETTER, WORSE, UNDECIDED = "#2f7d4f", "#b3423a", "#6b7280"


def plot_differences(
    panels: Mapping[Setting, Sequence[tuple[str, float, float, float]]], path: Path, baseline: str = "infonce"
) -> None:
    """Writes a forest plot: (name, difference, low, high) of each row; a line that crosses zero decides nothing.

    Raises InputError where nothing can be compared.
    """
    panels = {setting: rows for setting, rows in panels.items() if rows}
    if not panels:
        raise InputError(f"--plot compares with {baseline}: give runs of it and of others, same seeds")
    most = max(len(rows) for rows in panels.values())
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.4 * len(panels), 0.9 + 0.32 * most), squeeze=False, constrained_layout=True
    )
    for axis, (setting, rows) in zip(axes[0], panels.items()):
        axis.axvline(0, color="#9ca3af", linewidth=1)
        for place, (_, mean, low, high) in enumerate(rows):
            color = BETTER if low > 0 else WORSE if high < 0 else UNDECIDED
            axis.plot([low, high], [place, place], color=color, linewidth=2, solid_capstyle="round")
            axis.plot(mean, place, "o", color=color, markersize=5)
        axis.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axis.invert_yaxis()
        axis.margins(y=0.12)
        axis.set_title(" / ".join(setting), fontsize=10, loc="left")
        axis.set_xlabel(f"MRR minus {baseline} (95%)", fontsize=9)
        axis.tick_params(labelsize=9, length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.grid(axis="x", color="#e5e7eb", linewidth=0.8)
        axis.set_axisbelow(True)
    figure.savefig(path, dpi=160, facecolor="white")
    plt.close(figure)
