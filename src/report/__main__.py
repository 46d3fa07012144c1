"""Compare finished runs: python -m src.report outputs/DIR [DIR ...] [to=DIR] [baseline=NAME]

Leaves report.html (one page that needs nothing else), report.md, report.tex and report.csv.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from src.config.direct_commands import Report
from src.report.cells import cells
from src.report.compare import Comparison, compare
from src.report.page import page
from src.report.plots import plot_differences
from src.report.runs import LeftOut, find_runs
from src.report.selection import tried_table
from src.report.tables import headline, latex, markdown, results, to_csv
from src.report.texts import read_texts
from src.runs.directory import RunDirectory, relative
from src.runtime.quiet import quiet_libraries
from src.utils.console import as_list
from src.utils.errors import InputError, nearest
from src.utils.tables import print_tables

WIDTH = 160  # of a table in a file or a pipe


def main(cfg: Report) -> None:
    """Compares the runs, and leaves the four files."""
    quiet_libraries()
    folders = existing(as_list(cfg.runs))
    runs, left_out = find_runs(folders)
    if not runs:
        reason = "".join(f"; {run.path} is not: {run.why}" for run in left_out[:1])
        raise InputError(f"no finished runs below {', '.join(map(str, folders))}{reason}")
    comparisons = compare(cells(runs, cfg.mix_pools, cfg.choose), cfg.baseline)
    if cfg.plot:
        plot_differences(comparisons, Path(cfg.plot), cfg.baseline)
    folder = write(comparisons, left_out, Path(cfg.to) if cfg.to else folders[0] / "report", cfg.texts)
    show(comparisons, left_out, cfg.markdown)
    print(f"page: {relative(folder.resolve() / 'report.html')}", file=sys.stderr)


def existing(names: Sequence[str]) -> list[Path]:
    """Raises InputError where one of the folders does not exist, or none is given, before a run is read."""
    if not names:
        raise InputError(
            "expected run directories, or folders that hold some, found none: python -m src.report outputs"
        )
    for path in map(Path, names):
        if not path.exists():
            siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            raise InputError(
                f"{path} does not exist: give run directories, or folders of them{nearest(path.name, siblings)}"
            )
    return [Path(name) for name in names]


def write(comparisons: Sequence[Comparison], left_out: Sequence[LeftOut], to: Path, texts: bool = True) -> Path:
    """The four files, into a folder that need not be there; returns it.

    Args:
        texts: whether the corpora are read again for the texts of queries.
    """
    folder = RunDirectory(to)
    read, texts_of = {}, {}
    for comparison in comparisons:
        # settings that differ in their backbone have one corpus
        key = comparison.run.pool, comparison.run.training_data, tuple(comparison.queries)
        if key not in read:
            read[key] = read_texts(comparison) if texts else "texts=false was given"
        texts_of[comparison.setting] = read[key]
    try:
        folder.write_text("report.html", page(comparisons, texts_of, left_out))
        folder.write_text("report.md", markdown(comparisons))
        folder.write_text("report.tex", latex(comparisons))
        folder.write_text("report.csv", to_csv(comparisons))
    except OSError as error:
        raise InputError(f"{to} cannot be written ({error.strerror}): choose another with to=DIR") from error
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
    from src.config import direct_cli

    direct_cli.run(main, "report")
