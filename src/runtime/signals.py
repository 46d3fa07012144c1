"""Being asked to stop: by Ctrl-C, or by a scheduler that takes the machine back (SIGTERM, SIGUSR1).

A training finishes its step, saves and ends. What is no training ends at once. A second Ctrl-C always ends at once; a
scheduler that asks again while a process is ending changes nothing.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from src.utils.errors import Preempted

TAKEN_BACK = (signal.SIGTERM, signal.SIGUSR1)
ALL = (*TAKEN_BACK, signal.SIGINT)
SAVED_BEFORE = "what was saved before is kept"
PATIENCE = 2.0  # seconds in which the main thread hears a signal, unless it waits in C, as for another process


class Watch:
    """Hears the signals of a process inside `heard`; between `defer` and `release` they wait for `stop`."""

    def __init__(self) -> None:
        self.by: signal.Signals | None = None  # what asked
        self._last_words: list[Callable[[], Any]] = []  # of a process whose main thread cannot end it
        self._deferred: Collection[signal.Signals] = ()  # these wait
        self._importing = self._ending = self._hears = False
        self._pass_on: Callable[[signal.Signals], None] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    @property
    def asked(self) -> bool:
        return self.by is not None

    @contextmanager
    def heard(self, until_exit: bool = False) -> Iterator[Watch]:
        """Outside of the main thread, where signals never arrive, this does nothing; within another `heard`, little.

        Args:
            until_exit: of a process that ends with the block: what it imports is not interrupted by a scheduler, and
                being asked again does not change its exit status.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        if self._hears:
            self.release()
            if self.by is not None and not self._ending:  # while there was nothing to end yet
                self.stop(SAVED_BEFORE)
            yield self
            return
        self.by, self._ending, self._hears = None, False, True
        self._deferred = TAKEN_BACK if until_exit else ()
        before = {number: signal.getsignal(number) for number in ALL}
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            with self._insisting():
                self._listen()
                signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)  # a launcher may have held them until now
                yield self
        finally:
            self._hears, self._deferred = False, ()
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if until_exit and self._ending else handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)

    @contextmanager
    def told(self, say: Callable[[], Any]) -> Iterator[None]:
        """Inside, `say` is called before the process ends where its main thread cannot; the innermost first."""
        self._last_words.append(say)
        try:
            yield
        finally:
            self._last_words.remove(say)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Inside, for seconds, a scheduler waits: libraries that are being imported bear no exception anywhere."""
        before, self._deferred, self._importing = self._deferred, (*self._deferred, *TAKEN_BACK), True
        try:
            yield
        finally:
            self._deferred, self._importing = before, False
        if self._hears and self.asked and self.by not in before and not self._ending:
            self.stop(SAVED_BEFORE)

    def defer(self) -> None:
        """From here on the training decides when to stop."""
        self._deferred = ALL
        self._listen()

    def release(self) -> None:
        self._deferred = ()

    def stop(self, saved: str) -> NoReturn:
        """Raises KeyboardInterrupt or Preempted, whichever was asked for, here or by another device's process."""
        self.release()
        self._ending = True
        if self.by == signal.SIGINT:
            raise KeyboardInterrupt
        raise Preempted(self.by or signal.SIGTERM, saved)

    @contextmanager
    def passing_on(self, to: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Inside, other processes do the work: `to` tells them, and the block's end waits for theirs.

        Processes that are started inside hold the signals back until they listen themselves.
        """
        if not self._hears:
            yield
            return
        self._pass_on, before = to, self._deferred
        with held(), listening():
            self._deferred = ALL
            try:
                yield
            finally:
                self._pass_on, self._deferred = None, before
        if self.by is not None and not self._ending:
            self.stop("the jobs that were at work have saved")

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in TAKEN_BACK:
                signal.signal(number, self._hear)
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as of a command in the background
                signal.signal(signal.SIGINT, self._hear)

    def _hear(self, number: int, frame: Any) -> None:
        if self._ending and number != signal.SIGINT:
            return
        again = self.by == signal.SIGINT == number or self._ending
        self.by = signal.Signals(number)
        if self._pass_on is not None:
            self._pass_on(self.by)
        if again or number not in self._deferred:
            self.stop(SAVED_BEFORE)

    @contextmanager
    def _insisting(self) -> Iterator[None]:
        """Inside, a thread ends the process where its main thread waits in C and cannot hear what it is asked."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._insist, args=(reading,), daemon=True, name="signals").start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(writing)

    def _insist(self, reading: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                if number[0] not in TAKEN_BACK:
                    continue
                until = time.monotonic() + PATIENCE
                while self._is_deaf and time.monotonic() < until:
                    time.sleep(0.02)
                if self._is_deaf:
                    self.by = signal.Signals(number[0])
                    for say in reversed(self._last_words):
                        with suppress(Exception):
                            say()
                    os._exit(Preempted.STATUS)

    @property
    def _is_deaf(self) -> bool:
        """Whether the main thread has nothing to save, and does not end."""
        return self._hears and (self._importing or (self.by is None and not self._deferred))

    def _forked(self) -> None:
        """A copy of this process is another one: it hears for itself."""
        if not self._hears:
            return
        signal.set_wakeup_fd(-1)
        for number in ALL:
            if signal.getsignal(number) == self._hear:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self._importing = self._ending = self._hears = False
        self.by, self._deferred, self._pass_on = None, (), None
        self._last_words.clear()


@contextmanager
def held() -> Iterator[None]:
    """Processes that are started inside do not die of a signal before they listen: it waits for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def listening() -> Iterator[None]:
    """Inside, a thread takes the signals that the main thread holds back; their handlers run in the main thread."""
    over = threading.Event()

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)
        over.wait()

    thread = threading.Thread(target=wait, daemon=True, name="listening")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


WATCH = Watch()  # a process has one set of signals


def only_of_parent(worker: int) -> None:
    """In a loader's worker: what is sent to the whole group is for the process that trains, which still needs it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if not hasattr(signal, "sigwaitinfo"):  # macOS
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def obey() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=obey, daemon=True, name="signals").start()
