"""The page of a survey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from src import pages
from src.analysis.corpus.measure import Example, Survey
from src.analysis.corpus.plots import plots
from src.analysis.corpus.tables import headlines, overview, tables
from src.utils.tables import first_lines


def page(surveys: Mapping[str, Survey], near: float, title: str, facts: Mapping[str, str]) -> str:
    """HTML; of several languages an overview and then each."""
    shown = [] if "" in surveys else overview(surveys)
    pictures: dict[str, str] = {}
    examples: dict[str, list[pages.Example]] = {}
    for language, survey in surveys.items():
        shown += [replace(table, title=_named(language, table.title)) for table in tables(survey)]
        pictures |= {_named(language, caption): svg for caption, svg in plots(survey).items()}
        for kind, some in survey.examples.items():
            if some:
                examples[_named(language, kind)] = [described(example) for example in some]
    return pages.results_page(
        title, headlines(surveys, near), facts, shown, pictures, "Test pairs as examples", examples
    )


def described(example: Example) -> pages.Example:
    """An example's texts: the pair, and the training pair that resembles it where it is a leak."""
    pairs = {"test": example.pair, "train": example.twin} if example.twin else {"query": example.pair}
    return pages.Example(example.note, [(label, pair.query, first_lines(pair.code)) for label, pair in pairs.items()])


def _named(language: str, title: str) -> str:
    return f"{language}: {title}" if language else title
