"""Requests to stop: Ctrl-C (SIGINT), or a scheduler that takes the machine back (SIGTERM, SIGUSR1).

A training finishes its step, saves and ends; anything else ends at once. A second Ctrl-C always ends at once. A
scheduler that asks again while the process is ending changes nothing.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from src.utils.errors import Preempted

SCHEDULER_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
ALL = (*SCHEDULER_SIGNALS, signal.SIGINT)
SAVED_BEFORE = "what was saved before is kept"
WATCHDOG_DELAY = 2.0  # seconds after which the main thread counts as blocked in C, such as waiting for another process


class SignalWatcher:
    """Handles the signals of a process inside `installed`; between `defer` and `release` they wait for `stop`."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._exit_callbacks: list[Callable[[], Any]] = []
        self._deferred: Collection[signal.Signals] = ()
        self._importing = self._ending = self._installed = False
        self._forward: Callable[[signal.Signals], None] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset_after_fork)

    @property
    def stop_requested(self) -> bool:
        return self.received is not None

    @contextmanager
    def installed(self, until_exit: bool = False) -> Iterator["SignalWatcher"]:
        """Installs the handlers; a nested call only stops deferring, and a thread other than the main one does nothing.

        Args:
            until_exit: the process ends with this block, so imports are not interrupted by a scheduler, and a repeated
                request does not change the exit status.
        """
        if threading.current_thread() is not threading.main_thread():  # Python runs handlers in the main thread only
            yield self
            return
        if self._installed:
            self.release()
            if self.stop_requested and not self._ending:  # requested while there was nothing to end yet
                self.stop(SAVED_BEFORE)
            yield self
            return
        self.received, self._ending, self._installed = None, False, True
        self._deferred = SCHEDULER_SIGNALS if until_exit else ()
        handlers = {number: signal.getsignal(number) for number in ALL}
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            with self._watchdog():
                self._install_handlers()
                signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)  # a launcher may have blocked them until now
                yield self
        finally:
            self._installed, self._deferred = False, ()
            for number, handler in handlers.items():
                signal.signal(number, signal.SIG_IGN if until_exit and self._ending else handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @contextmanager
    def call_on_forced_exit(self, callback: Callable[[], Any]) -> Iterator[None]:
        """Inside, the watchdog calls `callback` before it ends the blocked process; the innermost callback first."""
        self._exit_callbacks.append(callback)
        try:
            yield
        finally:
            self._exit_callbacks.remove(callback)

    @contextmanager
    def deferred_during_import(self) -> Iterator[None]:
        """Inside, a scheduler waits for some seconds: libraries do not survive an exception while they are imported."""
        before, self._deferred, self._importing = self._deferred, (*self._deferred, *SCHEDULER_SIGNALS), True
        try:
            yield
        finally:
            self._deferred, self._importing = before, False
        if self._installed and self.stop_requested and self.received not in before and not self._ending:
            self.stop(SAVED_BEFORE)

    def defer(self) -> None:
        """From here on the training decides when to stop."""
        self._deferred = ALL
        self._install_handlers()

    def release(self) -> None:
        """From here on a signal ends the process at once."""
        self._deferred = ()

    def stop(self, saved: str) -> NoReturn:
        """Raises KeyboardInterrupt or Preempted, for a request to this process or to that of another device."""
        self.release()
        self._ending = True
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise Preempted(self.received or signal.SIGTERM, saved)

    @contextmanager
    def forwarding(self, forward: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Inside, other processes do the work: `forward` passes signals on to them, and the block waits for their end.

        Processes that are started inside have the signals blocked until they install their own handlers.
        """
        if not self._installed:
            yield
            return
        self._forward, before = forward, self._deferred
        with blocked_signals(), _unblocked_in_a_thread():
            self._deferred = ALL
            try:
                yield
            finally:
                self._forward, self._deferred = None, before
        if self.stop_requested and not self._ending:
            self.stop("the jobs that were at work have saved")

    def _install_handlers(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in SCHEDULER_SIGNALS:
                signal.signal(number, self._handle)
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # ignored by a shell's background jobs
                signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._ending and number != signal.SIGINT:
            return
        again = self.received == signal.SIGINT == number or self._ending
        self.received = signal.Signals(number)
        if self._forward is not None:
            self._forward(self.received)
        if again or number not in self._deferred:
            self.stop(SAVED_BEFORE)

    @contextmanager
    def _watchdog(self) -> Iterator[None]:
        """Inside, a thread ends the process where its main thread is blocked in C and runs no handler."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=self._run_watchdog, args=(reading,), daemon=True, name="signals").start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            os.close(writing)

    def _run_watchdog(self, reading: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                if number[0] not in SCHEDULER_SIGNALS:
                    continue
                until = time.monotonic() + WATCHDOG_DELAY
                while self._main_thread_blocked and time.monotonic() < until:
                    time.sleep(0.02)
                if self._main_thread_blocked:
                    self.received = signal.Signals(number[0])
                    for callback in reversed(self._exit_callbacks):
                        with suppress(Exception):
                            callback()
                    os._exit(Preempted.STATUS)

    @property
    def _main_thread_blocked(self) -> bool:
        """Whether the main thread should have ended the process by now: it had nothing to save, and has not reacted."""
        return self._installed and (self._importing or (not self.stop_requested and not self._deferred))

    def _reset_after_fork(self) -> None:
        """A copy of this process is not the one that was asked to stop; it installs its own handlers."""
        if not self._installed:
            return
        signal.set_wakeup_fd(-1)
        for number in ALL:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self._importing = self._ending = self._installed = False
        self.received, self._deferred, self._forward = None, (), None
        self._exit_callbacks.clear()


SIGNALS = SignalWatcher()  # a process has one set of signals


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Processes that are started inside inherit blocked signals, which wait until they install their handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ALL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _unblocked_in_a_thread() -> Iterator[None]:
    """Inside, a thread receives the signals that the main thread blocks; handlers still run in the main thread."""
    over = threading.Event()

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ALL)
        over.wait()

    thread = threading.Thread(target=wait, daemon=True, name="unblocked signals")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ignore_group_signals(worker: int) -> None:
    """In a loader's worker: a signal to the whole group is for the process that trains, which still needs workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if not hasattr(signal, "sigwaitinfo"):  # macOS
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def exit_when_the_parent_asks() -> None:
        while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
            pass
        os._exit(0)

    threading.Thread(target=exit_when_the_parent_asks, daemon=True, name="signals").start()
