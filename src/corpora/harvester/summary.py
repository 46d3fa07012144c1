"""The numbers of a harvest as a table."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def show(about: Mapping[str, Any], out: str | Path) -> None:
    """Prints harvest.json to standard output: files, functions and splits; reasons are sorted by frequency."""
    counts, sizes = Counter(about["counts"]), about["sizes"]

    def reasons(kind: str) -> list[tuple[str, int]]:
        named = [item for item in counts.items() if item[0].startswith(kind)]
        return sorted(named, key=lambda item: (-item[1], item[0]))

    rows = [("files read", counts["files read"]), *reasons("files without"), *reasons("files skipped")]
    rows += [("documented functions", counts["documented functions"]), *reasons("dropped")]
    rows += [("kept", sum(sizes.values())), *sizes.items()]
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, number in rows:
        table.add_row(name, f"{number:,}", end_section=name.startswith("kept") or name == "documented functions")
    console = Console()
    console.print(table)
    console.print(f" written to {Path(out) / about['language']}; train with", highlight=False, soft_wrap=True)
    command = f" python -m src.train lang={about['language']} corpus=codesearchnet corpus.root={out} corpus.text=source"
    console.print(command, highlight=False, soft_wrap=True)
