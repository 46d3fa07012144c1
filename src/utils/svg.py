"""Inline SVG plots whose lines and texts have the page's text colour, in light and dark mode."""

import io

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#010203"  # a placeholder for currentColor, which matplotlib does not support
COLORS = ("#3b82c4", "#d9822b", "#2f9e6e", "#b45fc4", "#c9485b", "#7f8c3a")  # visible on white and on black
WIDTH = 5.0  # inches: a phone shows it 1:1


def empty_figure(height: float) -> tuple[Figure, Axes]:
    """A figure as wide as a phone, `height` inches high, and its axes."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axis = figure.subplots()
    plain(axis)
    return figure, axis


def plain(axis: Axes) -> None:
    """Removes box and ticks, and uses the page's text colour."""
    axis.tick_params(length=0, labelsize=10, colors=INK)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set(color=INK, alpha=0.4)


def to_svg(figure: Figure, salt: str) -> Markup:
    """The figure as an <svg> element; the salt makes its ids differ from those of other figures.

    It is HTML to a page: matplotlib escapes its texts.
    """
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return Markup(svg[svg.index("<svg") :].replace(INK, "currentColor"))
