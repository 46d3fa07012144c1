"""Lines for the terminal, and options that accept one value or a list."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape


def print_facts(facts: Mapping[str, str], console: Console | None = None) -> None:
    """Prints one line each, with the names in a column."""
    console = console or Console()
    width = max(len(name) for name in facts)
    for name, fact in facts.items():
        console.print(f" [dim]{name:<{width}}[/dim]  {escape(fact)}", highlight=False, soft_wrap=True)


def as_list(value: Any) -> list[str]:
    """key=a, key=[a,b] and null as a list of texts."""
    return [str(item) for item in ([value] if isinstance(value, str | int | float) else value or ())]
