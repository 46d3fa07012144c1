"""Being asked to stop: at once, or when the training says so."""

from __future__ import annotations

import signal

import pytest

from src.errors import Preempted, is_interrupt
from src.signals import Watch


@pytest.fixture(autouse=True)
def foreground():
    """As of a command that is no shell's background job: those ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_scheduler_is_not_told_that_the_run_can_be_started_again(number):
    with pytest.raises(Preempted) as stop, Watch().heard():
        signal.raise_signal(number)
    assert stop.value.code == 75
    assert number.name in stop.value.message
    assert is_interrupt(stop.value)


def test_a_step_is_cut_in_two():
    with Watch().heard() as watch:
        watch.defer()
        signal.raise_signal(signal.SIGTERM)
        assert watch.asked
        with pytest.raises(Preempted, match="75"):
            watch.stop("saved")


def test_ctrl_c_ends_nothing_or_only_after_the_step():
    with Watch().heard() as watch:
        watch.defer()
        signal.raise_signal(signal.SIGINT)  # the step goes on
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with Watch().heard() as watch, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_handlers_outlive_the_run():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    with Watch().heard() as watch:
        watch.defer()
    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]


def test_another_devices_signal_ends_with_another_status():
    with pytest.raises(Preempted):  # asked for in another process
        Watch().stop("saved")
