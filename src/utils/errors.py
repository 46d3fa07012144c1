"""Errors that a user can do something about; entry points print them as one line and exit with status 2."""

import difflib
import signal
from collections.abc import Iterable


class UserError(Exception):
    """An error that needs no traceback. The message is one line: what was expected, what was found, what to change."""


class InputError(UserError, ValueError):
    """Bad input: a key, a file or a combination of them."""


class ResourceError(UserError):
    """The machine does not have it: disk space, memory, a port, or a folder that no other process is using."""


class NonFiniteError(UserError, ValueError):
    """A loss, a gradient, a weight, a score or an embedding is NaN or infinite."""


class TrialPruned(UserError):
    """A trial of a hyper-parameter search was ended early, because it promised less than earlier ones: no failure."""


def first_line(error: BaseException, otherwise: str = "") -> str:
    """What an error says, cut to its first line that is not blank.

    Args:
        otherwise: what stands for an error that says nothing; by default the name of its class.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), otherwise or type(error).__name__)


def message_of(error: BaseException) -> str:
    """What an entry point prints of an error that needs no traceback: one line."""
    if isinstance(error, UserError):
        return " ".join(str(error).split())
    line = first_line(error).rstrip(".")
    return f"{line}; is the path right and writable?" if isinstance(error, OSError) else line


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint such as `; did you mean 'bm25'?`, or the empty string when no valid name is near."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""


class Preempted(SystemExit):
    """A scheduler took the machine back (SIGTERM, SIGUSR1): exit status 75, by which it knows to start the run again.

    Source: sysexits.h, EX_TEMPFAIL, "the user is invited to retry".
    """

    STATUS = 75

    def __init__(self, by: signal.Signals, saved: str) -> None:
        super().__init__(self.STATUS)
        self.message = f"{by.name}: {saved}"


def is_interrupt(error: BaseException) -> bool:
    """Whether the run was stopped from outside: Lightning turns Ctrl-C into SystemExit."""
    return isinstance(error, KeyboardInterrupt | Preempted) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    )
