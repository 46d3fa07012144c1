"""Compare finished runs: python -m src.report outputs/DIR [DIR ...] [--to DIR] [--baseline NAME]

Leaves report.html (one page that needs nothing else), report.md, report.tex and report.csv.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from src.report.cells import CHOICES, cells
from src.report.compare import Comparison, compare
from src.report.forest_plot import plot_differences
from src.report.page import page
from src.report.runs import LeftOut, find_runs
from src.report.selection import tried_table
from src.report.tables import headline, latex, markdown, results, to_csv
from src.report.texts import read_texts
from src.runs.directory import RunDirectory, relative
from src.runtime.quiet import quiet_libraries
from src.utils.errors import InputError, UserError, nearest
from src.utils.tables import print_tables

BASELINE = "infonce"
WIDTH = 160  # of a table in a file or a pipe


def main(arguments: list[str] | None = None) -> int:
    description, _, epilog = __doc__.partition("\n\n")
    parser = Parser(prog="python -m src.report", description=description, epilog=epilog)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories, or folders that hold some")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the files go (default: report in the first one)")
    parser.add_argument(
        "--baseline", default=BASELINE, metavar="NAME", help=f"the row to compare with (default {BASELINE})"
    )
    parser.add_argument(
        "--mix-pools", action="store_true", help="runs over several pools: tables of their own instead of an error"
    )
    parser.add_argument(
        "--choose",
        metavar=f"{{{','.join(CHOICES)}}}",
        default=CHOICES[0],
        help="hyper-parameters of a row: those with the best val/mrr (valid, the default), or each in a row of its own",
    )
    parser.add_argument(
        "--no-texts", action="store_true", help="do not read the corpora again: ids of queries instead of their texts"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the differences (.png, .svg, .pdf)")
    quiet_libraries()
    try:
        given = parser.parsed(arguments)
        check(given)
        runs, left_out = find_runs(given.runs)
        if not runs:
            also = "".join(f"; {run.path} is not: {run.why}" for run in left_out[:1])
            raise InputError(f"no finished runs below {', '.join(map(str, given.runs))}{also}")
        comparisons = compare(cells(runs, given.mix_pools, given.choose), given.baseline)
        if given.plot:
            plot_differences(comparisons, given.plot, given.baseline)
        folder = write(comparisons, left_out, given.to or given.runs[0] / "report", given.no_texts)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(comparisons, left_out, given.markdown)
    print(f"page: {relative(folder.resolve() / 'report.html')}", file=sys.stderr)
    return 0


class Parser(argparse.ArgumentParser):
    """Whose mistakes are one line as everywhere, with the nearest flag."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)

    def parsed(self, arguments: list[str] | None) -> argparse.Namespace:
        given, unknown = self.parse_known_args(arguments)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            near = nearest(unknown[0].partition("=")[0], flags) or f"; there are {', '.join(flags)}"
            raise InputError(f"{unknown[0]} is no flag{near}")
        return given


def check(given: argparse.Namespace) -> None:
    """Raises InputError for what can be known before a run is read."""
    if given.choose not in CHOICES:
        near = nearest(given.choose, CHOICES)
        raise InputError(f"--choose: expected {' or '.join(CHOICES)}, found {given.choose!r}{near}")
    for path in given.runs:
        if not path.exists():
            beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            raise InputError(
                f"{path} does not exist: give run directories, or folders of them{nearest(path.name, beside)}"
            )


def write(comparisons: Sequence[Comparison], left_out: Sequence[LeftOut], to: Path, no_texts: bool = False) -> Path:
    """The four files, into a folder that need not be there; returns it."""
    folder = RunDirectory(to)
    read, texts = {}, {}
    for comparison in comparisons:
        # settings that differ in their backbone have one corpus
        key = comparison.run.pool, comparison.run.training_data, tuple(comparison.queries)
        if key not in read:
            read[key] = "--no-texts was given" if no_texts else read_texts(comparison)
        texts[comparison.setting] = read[key]
    try:
        folder.write_text("report.html", page(comparisons, texts, left_out))
        folder.write_text("report.md", markdown(comparisons))
        folder.write_text("report.tex", latex(comparisons))
        folder.write_text("report.csv", to_csv(comparisons))
    except OSError as error:
        raise InputError(f"{to} cannot be written ({error.strerror}): choose another with --to DIR") from error
    return to


def show(comparisons: Sequence[Comparison], left_out: Sequence[LeftOut], as_markdown: bool) -> None:
    if as_markdown:
        print(markdown(comparisons), end="")
        return
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    tables = [*filter(None, map(tried_table, comparisons)), *map(results, comparisons)]
    print_tables(tables, headline(comparisons, left_out), console)
    for run in left_out:
        console.print(f"left out: {escape(str(run.path))} ({escape(run.why)})", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
