"""Tables for the terminal, pages and Markdown, and how their numbers and texts are shortened."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as RichTable

TEXT = 24  # characters of a cell from which it may be folded
CODE_LINES, CODE_CHARACTERS = 8, 400  # of an example's code; some corpora have all of it on one line


def number_of(count: int, noun: str, plural: str | None = None) -> str:
    """The count with its noun in the right form: `1 epoch`, `1,200 epochs`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


@dataclass(frozen=True)
class Table:
    """Texts; the first column names the row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def print_tables(shown: Iterable[Table], sentences: Iterable[str] = (), console: Console | None = None) -> None:
    """Titles, tables and notes; then the sentences of the headline, where a reader of a terminal ends."""
    console = console or Console()
    for table in shown:
        console.print()
        for part, columns in enumerate(_side_by_side(table, console.width)):
            title = None if part else table.title
            rich = RichTable(
                title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
            )
            for i in columns:
                rich.add_column(table.columns[i], justify="right" if i else "left", overflow="fold")
            for row in table.rows:
                rich.add_row(*(escape(row[i]) for i in columns))
            console.print(rich)
        if table.note:
            console.print(f"[dim]{escape(table.note)}[/dim]", highlight=False)
    console.print()
    for sentence in sentences:
        console.print(Padding(escape(sentence), (0, 1)), highlight=False)


def _side_by_side(table: Table, width: int) -> list[list[int]]:
    """The columns in as many parts as fit below each other, uncut; each part begins with the name of the row."""
    widths = [min(TEXT, max(map(len, cells))) + 2 for cells in zip(table.columns, *table.rows)]
    parts = [[0]]
    for i in range(1, len(widths)):
        if len(parts[-1]) > 1 and sum(widths[j] for j in (*parts[-1], i)) > width:
            parts.append([0])
        parts[-1].append(i)
    return parts


def markdown_table(table: Table) -> str:
    """Title, table and note as paragraphs of Markdown."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (table.columns, *table.rows)]
    head, *rows = [f"| {' | '.join(row)} |" for row in escaped]
    align = f"|---{'|---:' * (len(table.columns) - 1)}|"
    return "\n".join([f"**{table.title}**", "", head, align, *rows, *(["", table.note] if table.note else [])])


def percent(share: float) -> str:
    """0.034 -> 3.4%, 0.34 -> 34%."""
    return f"{100 * share:.1f}%" if share < 0.1 else f"{100 * share:.0f}%"


def first_lines(code: str) -> str:
    """The beginning of a code, with an ellipsis where there is more."""
    start = "\n".join(code.strip().splitlines()[:CODE_LINES])[:CODE_CHARACTERS]
    return start if len(start) >= len(code.strip()) else f"{start} …"
