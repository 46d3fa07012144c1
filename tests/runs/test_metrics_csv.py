"""metrics.csv, whole after one attempt and after several."""

from __future__ import annotations

import csv

import pytest

from src.runs.metrics_csv import MetricsCSV
from src.utils.errors import ResourceError


def rows(folder) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(logger: MetricsCSV, *logged: tuple[int, dict[str, float]]) -> None:
    for step, metrics in logged:
        logger.log_metrics(metrics, step)
        logger.save()


def test_a_column_that_comes_later_loses_no_rows(tmp_path):
    log(MetricsCSV(tmp_path), (0, {"a": 1.5}), (1, {"a": 2.0}), (1, {"b": 3.0}), (2, {"a": 4.0}))
    assert rows(tmp_path) == [
        {"a": "1.5", "b": "", "step": "0"},
        {"a": "2.0", "b": "", "step": "1"},
        {"a": "", "b": "3.0", "step": "1"},
        {"a": "4.0", "b": "", "step": "2"},
    ]


def test_every_row_comes_once_where_a_run_resumes(tmp_path):
    log(MetricsCSV(tmp_path), *((step, {"a": step}) for step in range(5)), (4, {"val": 0.5}))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("7")  # cut off by a kill
    again = MetricsCSV(tmp_path)
    again.resume_at(3)  # three steps are in the checkpoint
    log(again, *((step, {"a": step}) for step in range(3, 6)), (5, {"c": 1}))
    assert [row["step"] for row in rows(tmp_path)] == ["0", "1", "2", "3", "4", "5", "5"]
    assert rows(tmp_path)[-1]["c"] == "1"


def test_a_run_that_begins_replaces_the_rows_of_another(tmp_path):
    log(MetricsCSV(tmp_path), (0, {"a": 1}))
    log(MetricsCSV(tmp_path), (0, {"b": 2}))
    assert rows(tmp_path) == [{"b": "2", "step": "0"}]


def test_a_full_disk_leaves_whole_rows_only(tmp_path, monkeypatch):
    logger = MetricsCSV(tmp_path)
    log(logger, (0, {"a": 1}))
    whole = (tmp_path / "metrics.csv").read_bytes()

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def tell(self):
            return self.file.tell()

        def write(self, data):
            self.file.write(data[:2])
            self.file.flush()
            raise OSError(28, "No space left on device")

    opened = type(tmp_path).open
    monkeypatch.setattr(type(tmp_path), "open", lambda *arguments: Full(opened(*arguments)))
    with pytest.raises(ResourceError, match=r"no room to write .*metrics\.csv: it needs 4 bytes"):
        log(logger, (1, {"a": 2}))
    monkeypatch.undo()
    assert (tmp_path / "metrics.csv").read_bytes() == whole
