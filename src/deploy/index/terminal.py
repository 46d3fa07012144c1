"""Answers on a terminal: place, score and highlighted code."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from src.deploy.index.searcher import Hit
from src.deploy.index.store import STATES
from src.utils.tables import number_of


def show(hits: Sequence[Hit], lines: int, console: Console | None = None) -> None:
    """Prints the answers, best first, each with at most `lines` lines of code (0: all)."""
    console = console or Console()
    if not hits:
        console.print("no function was found: try fewer filters or other words", style="dim")
    for number, hit in enumerate(hits, 1):
        place = hit.place
        head = Text.assemble(
            (f"{number:>2} ", "dim"),
            (f"{place.shown}:{place.start}", "bold cyan"),
            f"  {_safe(place.name)}  ",
            (f"{hit.score:.3f}", "green"),
        )
        if hit.copies:
            head.append(f"  and {number_of(len(hit.copies), 'more copy', 'more copies')}", "dim")
        if hit.state:
            head.append(f"  {STATES[hit.state]}", "yellow")
        console.print(head, soft_wrap=True, highlight=False)
        console.print(Padding(code(hit, lines), (0, 0, 1, 3)))


def code(hit: Hit, lines: int) -> Syntax:
    """The first lines of the source, with their numbers in the file."""
    all_lines = _safe(hit.source).split("\n")
    shown = all_lines[:lines] if lines else all_lines
    if len(shown) < len(all_lines):
        shown.append(f"{COMMENT[hit.place.language]} {number_of(len(all_lines) - len(shown), 'more line')}")
    return Syntax(
        "\n".join(shown),
        hit.place.language,
        theme="ansi_dark",
        line_numbers=True,
        start_line=hit.place.start,
        background_color="default",
    )


COMMENT = {"python": "#", "ruby": "#", "java": "//", "javascript": "//", "php": "//", "go": "//"}


def _safe(text: str) -> str:
    """The text without control characters, by which indexed code could command the terminal."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
