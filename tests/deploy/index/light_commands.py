"""Runs an entry point of `src.config.direct_cli` as a user types it, inside the test's own process."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys

from src.config import direct_cli


def typed(name: str, *arguments: str, words: str | None = None) -> tuple[int, str, str]:
    """Status, output and errors of `python -m src.<name> <arguments>`."""
    entry = importlib.import_module(f"src.{name}")
    output, errors, status, before = io.StringIO(), io.StringIO(), 0, sys.argv
    sys.argv = [f"{name}.py", *arguments]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            direct_cli.run(entry.main, name, words)
    except SystemExit as stop:
        status = stop.code
    finally:
        sys.argv = before
    return status, output.getvalue(), errors.getvalue()
