"""What a sweep says at its end: of every cell what became of it, and why."""

import sys
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.runs.directory import relative
from src.sweeps.cells import Cell
from src.sweeps.trial import METRIC
from src.utils.files import read_json
from src.utils.tables import number_of

HINTS = {
    "failed": "sweep.rerun=failed runs again what failed",
    "unfinished": "the same command resumes the sweep",
    "missing": "the same command resumes the sweep",
    "running": "another process is still at work on what is running",
}


def print_summary(ended: Mapping[Cell, Mapping[str, Any]], ran: Collection[Cell], folder: Path) -> None:
    """A row for every cell, where any ran; what failed, where none did; and what to type next."""
    ran, counts = set(ran), Counter(status["status"] for status in ended.values())
    shown = ended if ran else {cell: status for cell, status in ended.items() if status["status"] != "finished"}
    if shown:
        _print_table(shown, ran)
    skipped = sum(status["status"] == "finished" for cell, status in ended.items() if cell not in ran)
    before = f" ({skipped} of them before)" if skipped and ran else ""
    parts = [f"{counts['finished']} of {number_of(len(ended), 'cell')} finished{before}"]
    parts += [f"{counts[state]} {state}" for state in (*HINTS, "pruned") if counts[state]]
    hints = dict.fromkeys(hint for state, hint in HINTS.items() if counts[state])
    nothing = "" if ran else "nothing to run: "
    print(f"{nothing}{', '.join(parts)}; {relative(folder)}", *hints, sep="\n  ", flush=True)


def _print_table(ended: Mapping[Cell, Mapping[str, Any]], ran: Collection[Cell]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("cell", overflow="fold")
    table.add_column("")
    table.add_column(METRIC, justify="right")
    table.add_column("s", justify="right")
    table.add_column("why", overflow="fold")
    for cell, status in ended.items():
        state = status["status"]
        state = {"finished": "ran" if cell in ran else "skipped", "missing": "not started"}.get(state, state)
        mrr, seconds = read_json(cell.path / "metrics.json").get(METRIC), status.get("seconds")
        numbers = "" if mrr is None else f"{mrr:.4f}", "" if seconds is None else f"{seconds:.0f}"
        why = status.get("error", "finished before" if state == "skipped" else "")
        table.add_row(*map(Text, (cell.path.name, state, *numbers, why)))  # no markup: an error may hold brackets
    Console(width=None if sys.stdout.isatty() else 160).print(table)
