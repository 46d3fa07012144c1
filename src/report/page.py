"""The page of a report: one HTML file that needs nothing else. Queries and codes in it are shown, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from src.pages import render
from src.report.compare import Comparison
from src.report.plots import plots
from src.report.runs import LeftOut, Setting
from src.report.selection import selection, tried_table
from src.report.tables import METHOD, cost, headline, left_out_table, overview, results, text_tables
from src.report.texts import Moved, Texts, moved
from src.utils.tables import first_lines


def page(
    comparisons: Sequence[Comparison], texts: Mapping[Setting, Texts | str], left_out: Sequence[LeftOut] = ()
) -> str:
    """HTML. `texts` are those of the settings, or why they could not be read."""
    # Everything is escaped but our own plots, whose texts matplotlib escapes.
    return render(
        Path(__file__).with_name("report.html"),
        title=f"Which difference to {comparisons[0].baseline} is real?",
        headline=headline(comparisons, left_out),
        facts={
            "method": METHOD,
            "selection": selection(comparisons),
        },
        plots={},
        tables=[overview(comparisons)] if len([c for c in comparisons if c.compared]) > 1 else [],
        sections=[section(comparison, texts[comparison.setting]) for comparison in comparisons],
        endings=[left_out_table(left_out)] if left_out else [],
    )


def section(comparison: Comparison, texts: Texts | str) -> dict[str, Any]:
    """One setting: results, plots, cost, groups of queries, and queries that moved."""
    read = texts if isinstance(texts, Texts) else None
    main = results(comparison)
    tables = [*(text_tables(comparison, read) if read else []), cost(comparison)]
    missing = f"Texts of queries could not be read again, so there are ids only: {texts}." if read is None else ""
    return {
        "title": main.title,
        "main": main,
        "tables": tables,
        "tried": tried_table(comparison),
        "plots": {caption: Markup(svg) for caption, svg in plots(comparison).items()},
        "note": missing or read.note,
        "moved": {
            row.cell.name: {end: [described(m) for m in some] for end, some in moved(comparison, row, read).items()}
            for row, _ in comparison.compared
        },
    }


def described(change: Moved) -> dict[str, str]:
    """A query's texts and ranks."""
    return {
        "id": change.query,
        "before": ", ".join(f"{rank:g}" for rank in change.before),
        "after": ", ".join(f"{rank:g}" for rank in change.after),
        "query": change.pair.query if change.pair else "",
        "code": first_lines(change.pair.code) if change.pair else "",
    }
