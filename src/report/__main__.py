"""Compare finished runs: python -m src.report outputs/DIR [DIR ...] [--markdown] [--plot FILE]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from src.errors import InputError, nearest
from src.metrics.retrieval import bootstrap_mean
from src.report.plot import plot_differences
from src.report.runs import Cell, Setting, cells, find_runs

COLUMNS = ("", "seeds", "MRR", "95% over queries", "over seeds")
BASELINE = "infonce"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m src.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, or folders that hold some")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the differences (.png, .svg, .pdf)")
    parser.add_argument(
        "--baseline", default=BASELINE, metavar="NAME", help=f"the row to compare with (default {BASELINE})"
    )
    given = parser.parse_args(arguments)
    try:
        found = cells(find_runs(given.runs))
        if not found:
            raise InputError(f"no finished runs below {', '.join(map(str, given.runs))}")
        names = {cell.name for row_cells in found.values() for cell in row_cells}
        if given.baseline not in names | {BASELINE}:
            known, hint = ", ".join(sorted(names)), nearest(given.baseline, names)
            raise InputError(f"--baseline: expected one of the rows ({known}), found {given.baseline!r}{hint}")
        for setting, row_cells in found.items():
            show(setting, row_cells, given.markdown, given.baseline)
        if given.plot:
            panels = {setting: differences(row_cells, given.baseline) for setting, row_cells in found.items()}
            plot_differences(panels, given.plot, given.baseline)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def rows(row_cells: list[Cell], baseline: str = BASELINE) -> list[tuple[str, ...]]:
    """One row per loss and estimator, and BM25 as the last.

    MRR is the mean over seeds; its interval is a bootstrap over queries of the per-query mean over seeds.
    """
    against_plain = {name: numbers for name, *numbers in differences(row_cells, baseline)}
    table = []
    for cell in row_cells:
        values = cell.reciprocal_ranks
        low, high = bootstrap_mean(values.mean(axis=0))
        per_seed = values.mean(axis=1)
        spread = f"{per_seed.min():.3f} to {per_seed.max():.3f}" if len(per_seed) > 1 else ""
        mean, d_low, d_high = against_plain.get(cell.name, (None, None, None))
        difference = ("", "") if mean is None else (f"{mean:+.4f}", f"{d_low:+.4f} to {d_high:+.4f}")
        interval = f"{low:.3f} to {high:.3f}"
        table.append((cell.name, str(len(per_seed)), f"{values.mean():.3f}", interval, spread, *difference))
    bm25 = row_cells[0].runs[0].metrics
    interval = f"{bm25['bm25/mrr_low']:.3f} to {bm25['bm25/mrr_high']:.3f}"
    return [*table, ("BM25", "", f"{bm25['bm25/mrr']:.3f}", interval, "", "", "")]


def differences(row_cells: list[Cell], baseline: str = BASELINE) -> list[tuple[str, float, float, float]]:
    """(name, difference to the baseline, low, high) of every other cell.

    Paired by query and averaged over the seeds that both cells have; the interval is a bootstrap over queries.
    """
    plain = next((cell for cell in row_cells if cell.name == baseline), None)
    found = []
    for cell in row_cells:
        if plain is None or cell is plain:
            continue
        mine, theirs = ({run.seed: run.ranks for run in c.runs} for c in (cell, plain))
        seeds = sorted(mine.keys() & theirs.keys())
        if seeds:
            paired = np.mean([[1 / mine[s][q] - 1 / theirs[s][q] for q in theirs[s]] for s in seeds], axis=0)
            found.append((cell.name, float(paired.mean()), *bootstrap_mean(paired)))
    return found


def show(setting: Setting, row_cells: list[Cell], markdown: bool, baseline: str) -> None:
    columns = (*COLUMNS, f"minus {baseline}", "95%")
    run = row_cells[0].runs[0]
    candidates = int(run.metrics["test/candidates"])
    title = f"{' / '.join(setting)}: {len(run.ranks):,} queries, {candidates:,} candidates, pool {run.pool}"
    if markdown:
        print(f"{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        for row in rows(row_cells, baseline):
            print(f"| {' | '.join(row)} |")
        print()
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows(row_cells, baseline):
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    sys.exit(main())
