"""The page of a survey: one HTML file that needs nothing else. Queries and codes in it are shown, never run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from src.analysis.corpus.measure import Survey
from src.analysis.corpus.plots import plots
from src.analysis.corpus.tables import headlines, overview, tables
from src.pages import render
from src.utils.tables import first_lines


def page(found: Mapping[str, Survey], near: float, title: str, facts: Mapping[str, str]) -> str:
    """HTML, of several languages what sums them up and then each.

    Everything in it is escaped but our own plots, whose only texts are our own words and numbers.
    """
    examples = {
        _named(language, kind): [
            {
                "note": example.note,
                "query": example.pair.query,
                "code": first_lines(example.pair.code),
                "twin_query": example.twin.query if example.twin else "",
                "twin_code": first_lines(example.twin.code) if example.twin else "",
            }
            for example in shown
        ]
        for language, own in found.items()
        for kind, shown in own.examples.items()
        if shown
    }
    return render(
        Path(__file__).with_name("survey.html"),
        title=title,
        headline=headlines(found, near),
        facts=facts,
        tables=[
            *(() if "" in found else overview(found)),
            *(
                replace(table, title=_named(language, table.title))
                for language, own in found.items()
                for table in tables(own)
            ),
        ],
        plots={
            _named(language, caption): Markup(svg)
            for language, own in found.items()
            for caption, svg in plots(own).items()
        },
        examples=examples,
    )


def _named(language: str, title: str) -> str:
    return f"{language}: {title}" if language else title
