"""Bars on a terminal's standard error, nothing elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bars(Progress):
    """One bar for every stage of the work."""

    def __init__(self) -> None:
        columns = (
            *(TextColumn(" {task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[of]}")),
            TimeRemainingColumn(),
        )
        super().__init__(
            *columns,
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
            refresh_per_second=5,
        )

    @contextmanager
    def of(self, name: str, total: int, things: str, there: int = 0) -> Iterator[Callable[[int], object]]:
        """A stage of `total` things, of which some are there already; call what it gives with each number done."""
        task = self.add_task(name, total=total, completed=there, of=things)
        if there:
            self.print(f" {name} goes on where it stopped: {there:,} of {total:,} {things} are there", highlight=False)
        yield lambda number: self.advance(task, number)
        self.update(task, completed=total)
