"""Self-contained pages: one HTML file that needs nothing else; text from outside is shown and never interpreted."""

from collections.abc import Sequence
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
    """The page that the template makes of the values; `BASE`, or one that extends it, is a page of results.

    A value that is HTML already says so by being `markupsafe.Markup`; every other one is escaped. jinja2 raises
    UndefinedError for a value that the template reads and that is not given.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, BASE.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
