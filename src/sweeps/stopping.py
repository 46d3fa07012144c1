"""Jobs of a sweep in processes of their own (joblib's) that are asked to stop: each saves, and none begins any more.

The signal comes to the sweep's process, which passes it on, or to all of them. Were it let out of a job, joblib would
kill the other jobs in the middle of their saving.
"""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from signal import Signals
from typing import Any

from src.runtime.signals import SIGNALS
from src.utils.errors import is_interrupt

OF_SWEEP = "SOFT_INFONCE_SWEEP"  # the process that started this one for its jobs
_asked: list[bool] = []  # in such a process


class Stopped(Exception):
    """A job that was stopped or never began; the sweep reads which from its status.json."""


@contextmanager
def jobs_elsewhere(launcher: Any) -> Iterator[None]:
    """Around a launcher's work: the processes of joblib's launcher are asked to stop and waited for.

    Raises Preempted or KeyboardInterrupt at the end where that was asked for.
    """
    if type(launcher).__name__ != "JoblibLauncher":  # others run in this process, or have machines of their own
        yield
        return
    os.environ[OF_SWEEP] = str(os.getpid())
    try:
        with SIGNALS.forwarding(tell):
            yield
    finally:
        del os.environ[OF_SWEEP]


def tell(number: Signals) -> None:
    """Passes a signal on to every process that this one has started."""
    for process in multiprocessing.active_children():
        if process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


@contextmanager
def job(swept: bool) -> Iterator[None]:
    """Around a job. Raises Stopped where it is one of a sweep's process and was asked to stop, now or before it."""
    if not swept or os.environ.get(OF_SWEEP, str(os.getpid())) == str(os.getpid()):
        yield
        return
    if _asked:
        raise Stopped
    try:
        yield
    except BaseException as stop:
        if not is_interrupt(stop):
            raise
        _asked.append(True)
        raise Stopped from stop
