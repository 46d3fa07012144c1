"""Compare finished runs: python -m src.report outputs/DIR [DIR ...] [--markdown]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from src.errors import InputError
from src.metrics.retrieval import bootstrap_mean
from src.report.runs import Cell, Setting, cells, find_runs

COLUMNS = ("", "seeds", "MRR", "95% over queries", "over seeds", "minus infonce", "95%")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m src.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, or folders that hold some")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    given = parser.parse_args(arguments)
    try:
        found = cells(find_runs(given.runs))
        if not found:
            raise InputError(f"no finished runs below {', '.join(map(str, given.runs))}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for setting, row_cells in found.items():
        show(setting, row_cells, given.markdown)
    return 0


def rows(row_cells: list[Cell]) -> list[tuple[str, ...]]:
    """One row per loss and estimator, and BM25 as the last.

    MRR is the mean over seeds. The interval over queries is a bootstrap of the per-query mean over seeds; the
    difference to InfoNCE is paired by query, over the seeds that both have.
    """
    plain = next((cell for cell in row_cells if cell.name == "infonce"), None)
    table = []
    for cell in row_cells:
        values = cell.reciprocal_ranks
        low, high = bootstrap_mean(values.mean(axis=0))
        per_seed = values.mean(axis=1)
        spread = f"{per_seed.min():.3f} to {per_seed.max():.3f}" if len(per_seed) > 1 else ""
        difference = ("", "")
        if plain is not None and cell is not plain and (paired := _paired(cell, plain)) is not None:
            d_low, d_high = bootstrap_mean(paired)
            difference = (f"{paired.mean():+.4f}", f"{d_low:+.4f} to {d_high:+.4f}")
        table.append(
            (cell.name, str(len(per_seed)), f"{values.mean():.3f}", f"{low:.3f} to {high:.3f}", spread, *difference)
        )
    bm25 = row_cells[0].runs[0].metrics
    interval = f"{bm25['bm25/mrr_low']:.3f} to {bm25['bm25/mrr_high']:.3f}"
    return [*table, ("BM25", "", f"{bm25['bm25/mrr']:.3f}", interval, "", "", "")]


def _paired(cell: Cell, plain: Cell) -> np.ndarray | None:
    """Per-query difference of reciprocal ranks, averaged over the seeds that both cells have; None without any."""
    queries = list(plain.runs[0].ranks)
    mine, theirs = ({run.seed: run for run in c.runs} for c in (cell, plain))
    seeds = sorted(mine.keys() & theirs.keys())
    if not seeds:
        return None
    return np.array([[1 / mine[seed].ranks[q] - 1 / theirs[seed].ranks[q] for q in queries] for seed in seeds]).mean(
        axis=0
    )


def show(setting: Setting, row_cells: list[Cell], markdown: bool) -> None:
    run = row_cells[0].runs[0]
    candidates = int(run.metrics["test/candidates"])
    title = f"{' / '.join(setting)}: {len(run.ranks):,} queries, {candidates:,} candidates, pool {run.pool}"
    if markdown:
        print(f"{title}\n\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for row in rows(row_cells):
            print(f"| {' | '.join(row)} |")
        print()
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows(row_cells):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    sys.exit(main())
