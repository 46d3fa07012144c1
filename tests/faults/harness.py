"""Finds the rows, runs them, counts: injected, survived, lost.

A row is a module tests/faults/row_NN_name.py that has

    TITLE     what is injected, a few words
    PROMISE   what must hold, one line
    FULL      how many faults the full run injects at least; fewer count as lost
    run(full) yields a Fault for everything that was injected; `full` is False in the subset that `make test` runs

A row that raises has lost one fault, whatever it yielded before. Rows share no state: each works in folders of its own
(`scratch()`), leaves the environment, the signals and the working directory as they were, and asks no network.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Fault:
    """Something that was done to the program on purpose, and whether what was promised held."""

    name: str
    survived: bool
    detail: str = ""  # why not, or what was said


@dataclass(frozen=True)
class Row:
    """One promise."""

    number: int
    title: str
    promise: str
    least: int  # faults of a full run
    run: Callable[[bool], Iterable[Fault]]


@dataclass(frozen=True)
class Outcome:
    """What became of a row."""

    row: Row
    faults: Sequence[Fault]
    seconds: float

    @property
    def lost(self) -> list[Fault]:
        return [fault for fault in self.faults if not fault.survived]


def rows() -> list[Row]:
    """All rows that there are, by number."""
    found = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name.startswith("row_"):
            row = importlib.import_module(f"{__package__}.{module.name}")
            found.append(Row(int(module.name.split("_")[1]), row.TITLE, row.PROMISE, row.FULL, row.run))
    return sorted(found, key=lambda row: row.number)


def outcome(row: Row, full: bool, tell: Callable[[Fault], None] = lambda fault: None) -> Outcome:
    """Runs a row; `tell` hears of every fault as it happens."""
    start, faults = time.perf_counter(), []

    def add(fault: Fault) -> None:
        faults.append(fault)
        tell(fault)

    try:
        for fault in row.run(full):
            add(fault)
    except Exception as error:
        add(Fault("the row itself", False, f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
    if not faults or (full and len(faults) < row.least):
        add(Fault("the count", False, f"expected {row.least if full else 1} faults or more, found {len(faults)}"))
    return Outcome(row, faults, time.perf_counter() - start)


def print_outcomes(outcomes: Sequence[Outcome], console: Console | None = None) -> None:
    """The table, and below it what was lost."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("row", "injected", "survived", "lost", "s"):
        table.add_column(name, justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("what must hold", overflow="fold")
    for found in outcomes:
        counts = (len(found.faults), len(found.faults) - len(found.lost), len(found.lost), round(found.seconds))
        cells = (found.row.number, *counts, found.row.title, found.row.promise)
        table.add_row(*(Text(str(cell)) for cell in cells), style="red" if found.lost else "")
    console = console or Console(width=160)
    console.print(table)
    for found in outcomes:
        for fault in found.lost:
            console.print(Text(f"lost: row {found.row.number}, {fault.name}: {fault.detail}"))


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
