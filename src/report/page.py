"""The page of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.pages import render
from src.report.compare import Comparison
from src.report.plots import plots
from src.report.runs import LeftOut, Setting
from src.report.selection import selection, tried_table
from src.report.tables import METHOD, cost, headline, overview, results, text_tables
from src.report.texts import RankChange, Texts, rank_changes
from src.utils.tables import Table, first_lines


def page(
    comparisons: Sequence[Comparison], texts: Mapping[Setting, Texts | str], left_out: Sequence[LeftOut] = ()
) -> str:
    """HTML. `texts` are those of the settings, or the reason why they could not be read."""
    missing = [(str(run.path), run.why) for run in left_out]
    return render(
        Path(__file__).with_name("report.html"),
        title=f"Which difference to {comparisons[0].baseline} is real?",
        headline=headline(comparisons, left_out),
        facts={"method": METHOD, "selection": selection(comparisons)},
        tables=[overview(comparisons)] if len([c for c in comparisons if c.compared]) > 1 else [],
        plots={},
        sections=[section(comparison, texts[comparison.setting]) for comparison in comparisons],
        endings=[Table("Runs left out", ("", "why"), missing)] if missing else [],
    )


def section(comparison: Comparison, texts: Texts | str) -> dict[str, Any]:
    """One setting: results, plots, cost, groups of queries, and the queries whose ranks changed most."""
    main = results(comparison)
    tables = [cost(comparison)]
    if isinstance(texts, Texts):
        read, note = texts, texts.note
        tables = [*text_tables(comparison, texts), *tables]
    else:
        read, note = None, f"Texts of queries could not be read again, so only ids are shown: {texts}."
    return {
        "title": main.title,
        "main": main,
        "tables": tables,
        "tried": tried_table(comparison),
        "plots": plots(comparison),
        "note": note,
        "rank_changes": {
            row.cell.name: {
                end: [described(change) for change in changes]
                for end, changes in rank_changes(comparison, row, read).items()
            }
            for row, _ in comparison.compared
        },
    }


def described(change: RankChange) -> dict[str, str]:
    """A query's texts and ranks."""
    return {
        "id": change.query,
        "before": ", ".join(f"{rank:g}" for rank in change.before),
        "after": ", ".join(f"{rank:g}" for rank in change.after),
        "query": change.pair.query if change.pair else "",
        "code": first_lines(change.pair.code) if change.pair else "",
    }
