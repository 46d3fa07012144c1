"""Being asked to stop: by Ctrl-C, or by a scheduler that takes the machine back (SIGTERM, SIGUSR1).

A training finishes its step, saves and ends. What is no training ends at once. A second Ctrl-C always ends at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from src.errors import Preempted

TAKEN_BACK = (signal.SIGTERM, signal.SIGUSR1)


class Watch:
    """Hears the signals of a process inside `heard`; between `defer` and `release` they wait for `stop`."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None  # what asked
        self._deferring = False

    @property
    def asked(self) -> bool:
        return self.by is not None

    @contextmanager
    def heard(self) -> Iterator[Watch]:
        """Outside of the main thread, where signals never arrive, this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self.by, self._deferring = None, False
        before = {number: signal.getsignal(number) for number in (*TAKEN_BACK, signal.SIGINT)}
        self._listen()
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def defer(self) -> None:
        """From here on the training decides when to stop."""
        self._listen()  # Lightning has put its own handlers before ours
        self._deferring = True

    def release(self) -> None:
        self._deferring = False

    def stop(self, saved: str) -> NoReturn:
        """Raises KeyboardInterrupt or Preempted, whichever was asked for, here or by another device's process."""
        self.release()
        if self.by == signal.SIGINT:
            raise KeyboardInterrupt
        raise Preempted(self.by or signal.SIGTERM, saved)

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in TAKEN_BACK:
                signal.signal(number, self._hear)
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a command in the background
                signal.signal(signal.SIGINT, self._hear)

    def _hear(self, number: int, frame: Any) -> None:
        again = self.by == signal.SIGINT == number
        self.by = signal.Signals(number)
        if again or not self._deferring:
            self.stop("what was saved before is kept")


WATCH = Watch()  # a process has one set of signals
