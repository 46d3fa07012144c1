"""metrics.csv of a run directory: every logged number, also of a run that was interrupted and resumed."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from src.utils.files import write_atomically
from src.utils.resource_errors import explaining_full_disk

STEP = "step"


class MetricsCSV(Logger):
    """A row per logging, a column per metric, `step` and `epoch` among them.

    Lightning's own CSVLogger deletes the rows of an earlier attempt, and rewrites the file in place.

    Args:
        save_dir: the run directory.
    """

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self._rows: list[dict[str, Any]] = []
        self._columns: list[str] = []
        self._written = 0  # rows that are in the file, under these columns

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    def resume_at(self, step: int) -> None:
        """Takes up the rows of the earlier attempt that were logged before this step; those after it come again."""
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                # A row that a kill has cut in two is the last one, and comes again.
                rows = [row for row in csv.DictReader(file) if None not in row.values()]
            self._rows = [row for row in rows if row[STEP].isdigit() and int(row[STEP]) < step]
            self._columns = sorted({column for row in self._rows for column in row})
        self._rewrite()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._rows.append({**metrics, STEP: len(self._rows) if step is None else step})

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """They are in config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        fresh = self._rows[self._written :]
        columns = sorted({*self._columns, *(column for row in fresh for column in row)})
        if columns != self._columns or not self._written:
            self._columns = columns
            self._rewrite()
        elif fresh:
            data = self._text(fresh).encode()
            with explaining_full_disk(self.path, lambda: len(data)), self.path.open("ab") as file:
                whole = file.tell()
                try:
                    file.write(data)
                    file.flush()
                except OSError:
                    os.truncate(self.path, whole)  # no half of a row
                    raise
            self._written = len(self._rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _rewrite(self) -> None:
        write_atomically(self.path, ",".join(self._columns) + "\n" + self._text(self._rows))
        self._written = len(self._rows)

    def _text(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue()
