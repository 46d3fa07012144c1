"""The page of a survey: one HTML file that needs nothing else. Queries and codes in it are shown, never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from src.inspection.page import first_lines
from src.pages import render
from src.survey.measure import Survey
from src.survey.plots import plots
from src.survey.tables import headline, tables


def page(found: Survey, near: float, title: str, facts: Mapping[str, str]) -> str:
    """HTML; everything in it is escaped but our own plots, whose only texts are our own words and numbers."""
    examples = {
        kind: [
            {
                "note": example.note,
                "query": example.pair.query,
                "code": first_lines(example.pair.code),
                "twin_query": example.twin.query if example.twin else "",
                "twin_code": first_lines(example.twin.code) if example.twin else "",
            }
            for example in shown
        ]
        for kind, shown in found.examples.items()
        if shown
    }
    return render(
        Path(__file__).with_name("survey.html"),
        title=title,
        headline=headline(found, near),
        facts=facts,
        tables=tables(found),
        plots={caption: Markup(svg) for caption, svg in plots(found).items()},
        examples=examples,
    )
