"""Shared by all notebooks: the working directory, one style for all plots, and HTML tables."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PROJECT = Path(__file__).parents[2]
# The same thing has the same colour in all notebooks.
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#2b6cb0", "#d9822b", "#2f9e6e", "#9b59b6", "#c9485b", "#6b7280"
COLORS = {
    "bm25": BLUE,
    "simcse": ORANGE,
    "trained_model": GREEN,
    "train": BLUE,
    "valid": ORANGE,
    "test": GREEN,
    "infonce": GREY,
    "soft_infonce": BLUE,
    "false_negative_cancellation": GREEN,
    "weighted_infonce": ORANGE,
    "bce": PURPLE,
    "kl_regularized": RED,
    "true weights": GREEN,
    "estimated weights": BLUE,
    "random weights": ORANGE,
}
STYLE: dict[Any, Any] = {  # matplotlib's stubs list the keys
    "figure.dpi": 110,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.loc": "upper right",  # matplotlib warns where looking for the best place takes long
    "lines.linewidth": 2,
    "lines.markersize": 4.5,
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED, GREY]),
}
WIDTH = 9.0  # inches


def begin() -> None:
    """Sets the style of the plots, and the project's root, which holds outputs and cache, as working directory."""
    if Path.cwd() == PROJECT / "notebooks":
        os.chdir(PROJECT)
    mpl.rcParams.update(STYLE)
    warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, where a kernel has no widgets


def panels(number: int, height: float = 3.0, **options: Any) -> tuple[Figure, Sequence[Axes]]:
    """A figure as wide as the page, and its axes side by side; `options` are those of `Figure.subplots`."""
    from matplotlib import pyplot  # only after the kernel has chosen a backend

    figure, axes = pyplot.subplots(1, number, figsize=(WIDTH, height), squeeze=False, **options)
    return figure, axes[0]


@dataclass(frozen=True)
class Shown:
    """A table that a notebook shows as HTML; its texts are escaped, and codes keep their lines."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="text-align:left">{escape(column)}</th>' for column in self.columns)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Shown:
    """Floats have three decimals, whole numbers have separators."""
    return Shown(columns, [[_text(value) for value in row] for row in rows])


def _text(value: object) -> str:
    value = value.item() if hasattr(value, "item") else value  # of numpy or torch
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    if "\n" in text:
        pre = "margin:0;min-width:26em;background:transparent;font:85% monospace;white-space:pre-wrap"
        return f'<td style="text-align:left;vertical-align:top"><pre style="{pre}">{escape(text)}</pre></td>'
    return f'<td style="text-align:left;vertical-align:top">{escape(text)}</td>'
