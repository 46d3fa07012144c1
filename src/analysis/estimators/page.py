"""The page of an inspection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from src import pages
from src.analysis.estimators.inspection import Inspection
from src.analysis.estimators.measure import Example
from src.analysis.estimators.plots import plots
from src.analysis.estimators.tables import headline, tables
from src.corpora.base import Pair
from src.utils.tables import first_lines


def page(inspection: Inspection, pairs: Sequence[Pair], facts: Mapping[str, str]) -> str:
    """HTML. `pairs` are the items that were looked at; `facts` what it was measured on."""
    examples: dict[str, list[pages.Example]] = {}
    for name, ordinary in inspection.ordinary.items():
        ends = {"lowest weights": ordinary.lowest, "highest weights, least similar": ordinary.highest}
        for end, some in ends.items():
            examples[f"{name}: {end}"] = [described(example, inspection, pairs) for example in some]
    return pages.results_page(
        "How good are the estimators?",
        headline(inspection),
        facts,
        tables(inspection),
        plots(inspection),
        "Negatives as examples, from random batches",
        examples,
    )


def described(example: Example, inspection: Inspection, pairs: Sequence[Pair]) -> pages.Example:
    """An example's texts and numbers, and why it is a known false negative if it is one."""
    row, column = pairs[example.row], pairs[example.column]
    known = inspection.known
    kinds = [kind for kind, matrix_SS in known.kinds.items() if matrix_SS[example.row, example.column]]
    if not kinds and known.any_SS[example.row, example.column]:
        kinds = ["copy of the pair"]
    return pages.Example(
        f"weight {example.weight:.3f}, similarity {example.similarity:.3g}",
        [("query", row.query, first_lines(row.code)), ("negative", column.query, first_lines(column.code))],
        f"known: {', '.join(kinds)}" if kinds else "",
    )
