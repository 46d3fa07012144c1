"""The numbers of a harvest as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def show(about: Mapping[str, Any], out: str | Path) -> None:
    """Prints harvest.json to standard output."""
    counts, sizes = about["counts"], about["sizes"]
    table = Table(box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for name, number in _rows(counts, sizes):
        table.add_row(name, f"{number:,}", end_section=name.startswith("kept") or name == "documented functions")
    console = Console()
    console.print(table)
    console.print(f" written to {Path(out) / about['language']}; train with", highlight=False, soft_wrap=True)
    command = f" python -m src.train lang={about['language']} corpus=codesearchnet corpus.root={out} corpus.text=source"
    console.print(command, highlight=False, soft_wrap=True)


def _rows(counts: Mapping[str, int], sizes: Mapping[str, int]) -> list[tuple[str, int]]:
    """Files, functions and splits; the reasons for skipped and dropped ones are sorted by frequency."""

    def of(kind: str) -> list[tuple[str, int]]:
        reasons = ((name, number) for name, number in counts.items() if name.startswith(kind))
        return sorted(reasons, key=lambda item: (-item[1], item[0]))

    return [
        ("files read", counts.get("files read", 0)),
        *of("files without"),
        *of("files skipped"),
        ("documented functions", counts.get("documented functions", 0)),
        *of("dropped"),
        ("kept", sum(sizes.values())),
        *sizes.items(),
    ]
