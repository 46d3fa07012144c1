"""Being asked to stop: at once, or when the training says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from src.runtime.signals import SignalWatcher, blocked_signals, ignore_group_signals
from src.utils.errors import Preempted, is_interrupt


@pytest.fixture(autouse=True)
def foreground():
    """As of a command that is no shell's background job: those ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_of_a_scheduler_ends_the_run_with_status_75(number):
    with pytest.raises(Preempted) as stop, SignalWatcher().installed():
        signal.raise_signal(number)
    assert stop.value.code == 75
    assert number.name in stop.value.message
    assert is_interrupt(stop.value)


def test_a_deferred_signal_waits_for_the_end_of_the_step():
    with SignalWatcher().installed() as watch:
        watch.defer()
        signal.raise_signal(signal.SIGTERM)
        assert watch.stop_requested
        with pytest.raises(Preempted, match="75"):
            watch.stop("saved")


def test_ctrl_c_waits_for_the_step_and_a_second_one_ends_it_at_once():
    with SignalWatcher().installed() as watch:
        watch.defer()
        signal.raise_signal(signal.SIGINT)  # the step goes on
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with SignalWatcher().installed() as watch, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_restored_after_the_run():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    with SignalWatcher().installed() as watch:
        watch.defer()
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]


def test_a_signal_that_came_to_another_process_also_ends_as_preempted():
    with pytest.raises(Preempted):  # asked for in another process
        SignalWatcher().stop("saved")


def test_a_further_signal_while_ending_changes_nothing():
    ended = []
    with pytest.raises(Preempted, match="75"), SignalWatcher().installed():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # as of Lightning and SLURM, both of which told this process
            signal.raise_signal(signal.SIGUSR1)
            ended.append(True)
    assert ended == [True]


def test_a_run_within_a_command_that_listens_leaves_its_handlers_in_place():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted), SignalWatcher().installed() as watch:
        with watch.installed():
            pass
        assert signal.getsignal(signal.SIGTERM) != before
        with watch.deferred_during_import():
            signal.raise_signal(signal.SIGTERM)  # waits for the end of the import
    assert signal.getsignal(signal.SIGTERM) == before


def status_of(child) -> int:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def test_a_process_that_waits_in_c_is_ended_by_a_signal(tmp_path):
    said = tmp_path / "said"
    blocked_in_c = """
import os, pathlib, signal, sys, threading
from torch import distributed as dist
from src.runtime import signals
signals.WATCHDOG_DELAY = 0.1
callback = lambda: pathlib.Path(sys.argv[1]).write_text("interrupted")
with signals.SIGNALS.installed(), signals.SIGNALS.call_on_forced_exit(callback):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    dist.FileStore(sys.argv[1] + ".store", 2).get("what nobody sets")
"""
    ended = subprocess.run([sys.executable, "-c", blocked_in_c, str(said)], timeout=30)
    assert ended.returncode == 75
    assert said.read_text() == "interrupted"


def test_a_signal_to_a_forked_process_does_not_reach_its_parent():
    with SignalWatcher().installed() as watch:
        assert status_of(lambda: signal.raise_signal(signal.SIGTERM)) == -signal.SIGTERM
        time.sleep(0.05)
        assert not watch.stop_requested


def test_a_signal_to_a_process_that_is_starting_is_held_and_ends_it_with_status_75():
    listens = "import signal, sys; from src.runtime.signals import SIGNALS\nwith SIGNALS.installed(): print('too late')"
    with blocked_signals():
        process = subprocess.Popen([sys.executable, "-c", listens], stdout=subprocess.PIPE, text=True)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == ""
    assert process.returncode == 75


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="of Linux")
def test_a_loaders_worker_ends_only_by_a_signal_of_its_parent():
    def worker() -> None:
        ignore_group_signals(0)
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
        time.sleep(0.2)
        os._exit(7)

    assert status_of(worker) == 7

    process = multiprocessing.get_context("fork").Process(target=lambda: (ignore_group_signals(0), time.sleep(30)))
    process.start()
    time.sleep(0.3)
    process.terminate()
    process.join(10)
    assert process.exitcode == 0
