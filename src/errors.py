"""The one exception that means: the user's input is wrong, and here is what to change."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message is one line: what was expected, what was found, what to change.

    Entry points print it without a traceback and exit with status 2.
    """


class PrunedError(InputError):
    """A trial of a search was ended early, since it promised less than others; no failure."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint such as `; did you mean 'bm25'?`, or the empty string when no valid name is near."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def is_interrupt(error: BaseException) -> bool:
    """Whether a person stopped the run: Lightning turns Ctrl-C into SystemExit."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    )
