"""The script that measures a loss's time and memory: that its ways do the same, and what it prints."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest

from tests.benchmarks import losses
from tests.benchmarks.losses import WAYS, main, run


@pytest.fixture
def in_this_process(monkeypatch):
    """Runs of fresh processes, without the processes."""

    def start(command: list[str], **_: object) -> SimpleNamespace:
        way, loss, N, D, device = command[4::2]
        done = run(way, loss, int(N), int(D), device)
        return SimpleNamespace(returncode=0, stdout=json.dumps({**done, "MB": 2.0}), stderr="")

    monkeypatch.setattr(losses.subprocess, "run", start)


def test_a_way_computes_another_loss_or_its_cost_is_no_ratio(in_this_process, capsys):
    found = main(["--sizes", "67,307", "--dimensions", "67", "--rounds", "1"])
    others = [way for way in WAYS if way != "ours"]
    assert list(found) == [f"loss_{what}/{way}/{N}" for N in (67, 307) for way in others for what in ("time", "memory")]
    assert all(ratio > 0 for ratio in found.values())
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 2 * len(WAYS)
    for of_size in (lines[:3], lines[3:]):
        shown = [[float(x) for x in re.search(r"loss (\S+), gradient (\S+)$", line).groups()] for line in of_size]
        assert shown[1] == pytest.approx(shown[0], rel=1e-5)
        assert shown[2] == pytest.approx(shown[0], rel=1e-5)


def test_a_measurement_takes_the_memory_of_its_neighbours(in_this_process, monkeypatch, capsys):
    monkeypatch.setattr(losses, "available_mb", lambda: 1.0)
    assert list(losses.measure(307, D=11, rounds=1)) == ["ours"]
    assert "plain at N = 307 is left out: it needs about 3 MB, 1 MB are free" in capsys.readouterr().out
