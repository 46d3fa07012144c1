"""How a cost is measured: in turns with its peers, as a ratio to ours."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OURS = "ours"
SECONDS, MEGABYTES = "s", "MB"


@dataclass
class Contest:
    """What one job costs when it is done in different ways.

    Args:
        what: first part of the keys, such as `train_step`.
        title: what is measured, in words.
        unit: of the costs, `s` or `MB`.
        main: the size whose ratios have no `@size` in their key.
        base: way -> the way that it is compared with, where that is not `ours`.
    """

    what: str
    title: str
    unit: str
    main: int
    base: Mapping[str, str] = field(default_factory=dict)
    costs: dict[int, dict[str, list[float]]] = field(default_factory=dict)  # size -> way -> a cost per round

    def add(self, size: int, costs: Mapping[str, list[float]]) -> None:
        """Costs of some ways at a size, the same number of rounds for each."""
        self.costs.setdefault(size, {}).update(costs)

    def of(self, way: str) -> str:
        return self.base.get(way, OURS)

    def rounds(self, size: int, way: str) -> np.ndarray:
        """Ratio of the way's cost to its base's, of each round."""
        costs = self.costs[size]
        return np.array(costs[way]) / np.array(costs[self.of(way)])

    def ratios(self) -> dict[str, float]:
        """`<what>/<way>` and `<what>/<way>@<size>` -> the median ratio of the rounds."""
        found = {}
        for size, costs in sorted(self.costs.items()):
            for way in costs:
                if self.of(way) == way or self.of(way) not in costs or way in self.base.values() or way == OURS:
                    continue
                ratio = float(np.median(self.rounds(size, way)))
                found[f"{self.what}/{way}@{size}"] = ratio
                if size == self.main:
                    found[f"{self.what}/{way}"] = ratio
        return found


def in_turns(ways: Mapping[str, Callable[[], float | None]], rounds: int, warm: bool = True) -> dict[str, list[float]]:
    """way -> seconds of each round; every round another way begins. A way may return seconds of its own."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for round_ in range(-1 if warm else 0, rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            start = time.perf_counter()
            own = ways[name]()
            taken = time.perf_counter() - start if own is None else own
            if round_ >= 0:
                seconds[name].append(taken)
    return seconds


def has(module: str, notes: list[str]) -> bool:
    """Whether a peer is installed; where it is not, one line says so."""
    if importlib.util.find_spec(module):
        return True
    note = f"{module} is not installed and left out: pip install -e '.[bench]'"
    if note not in notes:
        notes.append(note)
    return False


class LeftOut(Exception):
    """A way that could not be measured here, in one line."""


def alone(function: str, threads: int | None = None, environment: Mapping[str, str] | None = None, **given: Any) -> Any:
    """What `module:name`(**given) returns in a fresh process, where nothing else has touched the memory.

    Raises LeftOut with the error's last line where it fails.
    """
    variables = {**os.environ, **(environment or {})}
    if threads:  # BLAS reads these when it is loaded
        variables |= {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
    command = [sys.executable, "-m", "src.bench.measuring", function, json.dumps(given)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise LeftOut(lines[-1] if lines else f"killed by signal {-done.returncode}: out of memory?")
    return json.loads(done.stdout.splitlines()[-1])


def peak_megabytes() -> float:
    """The most memory that this process has had so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def free_megabytes() -> float:
    """Memory that the machine has left; no limit where it does not say."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return float("inf")


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))))
