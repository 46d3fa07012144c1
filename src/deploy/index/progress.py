"""Progress bars on standard error where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bars(Progress):
    """One bar for every stage of the work."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn(" {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[of]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
            refresh_per_second=5,
        )

    @contextmanager
    def of(self, name: str, total: int, things: str, done: int = 0) -> Iterator[Callable[[int], object]]:
        """A stage of `total` things, some of them done already; yields a function that takes each further number."""
        task = self.add_task(name, total=total, completed=done, of=things)
        if done:
            self.print(f" {name} resumes: {done:,} of {total:,} {things} are done", highlight=False)
        yield lambda number: self.advance(task, number)
        self.update(task, completed=total)
