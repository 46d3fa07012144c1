"""The page of an inspection: one HTML file that needs nothing else. Queries and codes in it are shown, never run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from src.analysis.estimators.inspection import Inspection
from src.analysis.estimators.measure import Example
from src.analysis.estimators.plots import plots
from src.analysis.estimators.tables import headline, tables
from src.corpora.base import Pair
from src.pages import render
from src.utils.tables import first_lines


def page(found: Inspection, pairs: Sequence[Pair], facts: Mapping[str, str]) -> str:
    """HTML. `pairs` are the items that were looked at; `facts` what it was measured on."""
    # Everything is escaped but our own plots, whose only texts are names of options and numbers.
    examples = {
        name: {
            "lowest weights": [described(example, found, pairs) for example in ordinary.lowest],
            "highest weights, least similar": [described(example, found, pairs) for example in ordinary.highest],
        }
        for name, ordinary in found.ordinary.items()
    }
    return render(
        Path(__file__).with_name("page.html"),
        title="How good are the estimators?",
        headline=headline(found),
        facts=facts,
        tables=tables(found),
        plots={caption: Markup(svg) for caption, svg in plots(found).items()},
        examples=examples,
    )


def described(example: Example, found: Inspection, pairs: Sequence[Pair]) -> dict[str, str]:
    """An example's texts and numbers."""
    row, column = pairs[example.row], pairs[example.column]
    kinds = [kind for kind, matrix_SS in found.known.kinds.items() if matrix_SS[example.row, example.column]]
    copy = not kinds and bool(found.known.any_SS[example.row, example.column])
    return {
        "query": row.query,
        "code": first_lines(row.code),
        "negative_query": column.query,
        "negative_code": first_lines(column.code),
        "similarity": f"{example.similarity:.3g}",
        "weight": f"{example.weight:.3f}",
        "known": ", ".join(kinds) or ("copy of the pair" if copy else ""),
    }
