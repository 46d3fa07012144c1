"""Answers in a terminal: where, how near, and the code in colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from src.deploy.index.paths import STATES, shown_path

if TYPE_CHECKING:
    from src.deploy.index.searcher import Hit


def show(hits: Sequence[Hit], lines: int, console: Console | None = None) -> None:
    """Prints the answers, the best first; of each at most so many lines of code, 0: all."""
    console = console or Console()
    if not hits:
        console.print("no function answers: fewer filters, or other words", style="dim")
    for number, hit in enumerate(hits, 1):
        place = hit.place
        head = Text.assemble(
            (f"{number:>2} ", "dim"), (f"{shown_path(place)}:{place.start}", "bold cyan"), f"  {_safe(place.name)}  ",
            (f"{hit.score:.3f}", "green"),
        )  # fmt: skip
        if hit.copies:
            head.append(f"  and {len(hit.copies)} more like it", "dim")
        if hit.state:
            head.append(f"  {STATES[hit.state]}", "yellow")
        console.print(head, soft_wrap=True, highlight=False)
        console.print(Padding(code(hit, lines), (0, 0, 1, 3)))


def code(hit: Hit, lines: int) -> Syntax:
    """The first lines of the source, with the numbers that they have in the file."""
    held = _safe(hit.source).split("\n")
    cut = held[:lines] if lines else held
    syntax = Syntax(
        "\n".join(cut), hit.place.language, theme="ansi_dark", line_numbers=True, start_line=hit.place.start,
        background_color="default", word_wrap=False,
    )  # fmt: skip
    if len(cut) < len(held):
        syntax.code += f"\n{COMMENT[hit.place.language]} {len(held) - len(cut):,} more lines"
    return syntax


COMMENT = {"python": "#", "ruby": "#", "java": "//", "javascript": "//", "php": "//", "go": "//"}


def _safe(text: str) -> str:
    """Without control characters: indexed code tells the terminal nothing."""
    return "".join(sign if sign in "\n\t" or sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
