"""How a cost is measured: in turns with the peers' costs, as a ratio to ours."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

OURS = "ours"
SECONDS, MEGABYTES = "s", "MB"
MEMORY_SHARE = 0.8  # of the free memory that a way may take
CLOCK = "SOFT_INFONCE_BENCH_CLOCK"  # =cpu counts the processor's seconds


def now() -> float:
    """Seconds of the clock once the GPU has finished its work; the processor's seconds where the user asks for them."""
    if "torch" in sys.modules and (cuda := sys.modules["torch"].cuda).is_available():
        cuda.synchronize()
    return time.process_time() if os.environ.get(CLOCK) == "cpu" else time.perf_counter()


@dataclass
class Benchmark:
    """What one job costs when it is done in several ways.

    Args:
        what: first part of the keys, such as `train_step`.
        title: what is measured, in words.
        unit: of the costs, `s` or `MB`.
        main: the size whose ratios have no `@size` in their key.
    """

    what: str
    title: str
    unit: str
    main: int
    costs: dict[int, dict[str, list[float]]] = field(default_factory=dict)  # size -> way -> a cost of each round

    def rounds(self, size: int, way: str) -> np.ndarray:
        """Ratio of the way's cost to ours, of each round."""
        return np.divide(self.costs[size][way], self.costs[size][OURS])

    def ratios(self) -> dict[str, float]:
        """`<what>/<way>` and `<what>/<way>@<size>` -> the median ratio of the rounds; empty where ours is missing."""
        found = {}
        for size, costs in sorted(self.costs.items()):
            for way in [way for way in costs if way != OURS and OURS in costs]:
                ratio = float(np.median(self.rounds(size, way)))
                found[f"{self.what}/{way}@{size}"] = ratio
                if size == self.main:
                    found[f"{self.what}/{way}"] = ratio
        return found


def in_turns(ways: Mapping[str, Callable[[], float | None]], rounds: int, warm: bool = True) -> dict[str, list[float]]:
    """way -> seconds of each round. Each round starts with another way; a way may return seconds of its own."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for round_ in range(-1 if warm else 0, rounds):
        for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
            start = now()
            own = ways[name]()
            taken = now() - start if own is None else own
            if round_ >= 0:
                seconds[name].append(taken)
    return seconds


def has(module: str, notes: list[str]) -> bool:
    """Whether a peer is installed; where it is not, a note says so."""
    if importlib.util.find_spec(module):
        return True
    note = f"{module} is not installed and left out: pip install -e '.[bench]'"
    if note not in notes:
        notes.append(note)
    return False


class LeftOut(Exception):
    """A way that cannot be measured on this machine, with the reason in one line."""


def alone(function: str, environment: Mapping[str, str] | None = None, **given: Any) -> Any:
    """What `module:name`(**given) returns in a fresh process, whose memory nothing else has used.

    Raises LeftOut with the error's last line where it fails.
    """
    command = [sys.executable, "-m", "src.bench.measurement", function, json.dumps(given)]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise LeftOut(lines[-1] if lines else f"killed by signal {-done.returncode}: out of memory?")
    return json.loads(done.stdout.splitlines()[-1])


def alone_in_turns(
    function: str,
    ways: Sequence[str],
    megabytes: Mapping[str, float],
    notes: list[str],
    about: str,
    **given: Any,
) -> dict[str, list[dict[str, float]]]:
    """way -> what its runs return, each in a fresh process; a note names the ways that fail or need too much memory.

    Args:
        ways: in order, a way as often as it is run.
        megabytes: what a way needs, where that is known.
        about: what is measured, in the words of a note.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for way in ways:
        needed, free = megabytes.get(way, 0), free_megabytes()
        try:
            if needed > MEMORY_SHARE * free:
                raise LeftOut(f"needs about {needed:,.0f} MB, {free:,.0f} MB are free")
            found.setdefault(way, []).append(alone(function, way=way, **given))
        except LeftOut as error:
            note = about.format(way=way) + f" is left out: {error}"
            if note not in notes:
                notes.append(note)
    return found


def peak_megabytes(device: str = "cpu", since_now: bool = False) -> float:
    """The most memory that this process has had on a device; `since_now` resets a CPU's peak where possible."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    try:
        if since_now:
            Path("/proc/self/clear_refs").write_text("5")
        # Not getrusage, whose peak a process inherits from its parent.
        return _kilobytes("/proc/self/status", "VmHWM") / 1024
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def free_megabytes() -> float:
    """Free memory of the machine; infinite where the system does not say."""
    try:
        return _kilobytes("/proc/meminfo", "MemAvailable") / 1024
    except OSError:
        return float("inf")


def _kilobytes(path: str, name: str) -> int:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))))
