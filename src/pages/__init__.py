"""Self-contained pages: one base for all, with text from outside always shown and never interpreted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def render(template: Path, **values: Any) -> str:
    """The page that the template makes of the values, by base.html: `title`, `headline`, `facts`, `plots`, `tables`.

    A value that is HTML already says so by being `markupsafe.Markup`; every other one is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template.name).render(**values)
