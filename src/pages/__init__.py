"""Self-contained pages: one HTML file that needs nothing else; text from outside is shown and never interpreted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

BASE = Path(__file__).with_name("base.html")


@dataclass(frozen=True)
class Example:
    """Queries with their codes, side by side."""

    note: str
    texts: Sequence[tuple[str, str, str]]  # a label, a query and its code
    marked: str = ""  # what of the note stands out


def render(template: Path, **values: Any) -> str:
    """The page that the template makes of the values.

    A value that is HTML already says so by being `markupsafe.Markup`; every other one is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, BASE.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def results_page(
    title: str,
    headline: Sequence[str],
    facts: Mapping[str, str],
    tables: Sequence[Any],
    plots: Mapping[str, str],
    examples_title: str = "",
    examples: Mapping[str, Sequence[Example]] | None = None,
    template: Path = BASE,
    **more: Any,
) -> str:
    """A page of results by base.html, or by a template that extends it with `more`.

    Args:
        tables: `src.utils.tables.Table`s.
        plots: caption -> SVG of `src.utils.svg`.
        examples: kind -> some of it; leaks are unfolded.
    """
    return render(
        template,
        title=title,
        headline=headline,
        facts=facts,
        tables=tables,
        plots=plots,
        examples_title=examples_title,
        examples=examples or {},
        **more,
    )
