"""Processes that ask for the same entries at once, damage some, and are killed while they make one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from src.utils.disk_cache import Cache, key_of
from tests.conftest import PROJECT
from tests.faults.harness import Fault, scratch

TITLE = "8 processes x 20 rounds on one cache, and killed holders"
PROMISE = "one content, no torn read, no deadlock, a killed holder's lock is released"
FULL = 161
PATIENCE = 300.0  # seconds until a round counts as a deadlock

# One process: asks for every round's entry, in which each maker would write what only it writes.
ASKS = """
import json, os, random, sys, time
from pathlib import Path
from src.utils.disk_cache import Cache

root, start, rounds, number = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
draw = random.Random(number)
def make(folder):
    mine = f"{os.getpid()} {time.monotonic_ns()} ".encode()
    for name in ("a.bin", "b.bin"):  # in pieces: a reader that does not wait meets half of it
        with (folder / name).open("wb") as file:
            for _ in range(40):
                file.write(mine * 50)
                file.flush()
    return {"by": mine.decode()}
print("ready", flush=True)
while not start.exists():
    time.sleep(0.005)
for round in range(rounds):
    entry = Cache(root).get("things", {"round": round}, make)  # a cache of its own: nothing was checked before
    a, b = ((entry.path / name).read_bytes() for name in ("a.bin", "b.bin"))
    print(json.dumps([round, a == b == entry.facts["by"].encode() * 2000, entry.facts["by"]]), flush=True)
"""
DIES = """
import sys, time
from pathlib import Path
from src.utils.disk_cache import Cache

def make(folder):
    (folder / "half").write_text("half")
    print("making", flush=True)
    time.sleep(600)
Cache(Path(sys.argv[1])).get("things", {"killed": sys.argv[2]}, make)
"""


def run(full: bool) -> Iterator[Fault]:
    processes, rounds = (8, 20) if full else (3, 4)
    with scratch() as folder:
        yield from together(folder, processes, rounds)
        for number, how in enumerate((signal.SIGKILL, signal.SIGTERM) if full else (signal.SIGKILL,)):
            yield killed(folder, str(number), how)


def together(folder: Path, processes: int, rounds: int) -> Iterator[Fault]:
    """A fault for each round of each process."""
    start = folder / "start"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASKS, str(folder), str(start), str(rounds), str(number)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in running:
        process.stdout.readline()
    start.touch()
    until = time.monotonic() + PATIENCE
    makers: dict[int, set[str]] = {}
    answers = []
    for process in running:
        try:
            output, errors = process.communicate(timeout=max(1.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()[0], f"still waiting after {PATIENCE:g} s"
        said = {line[0]: line for line in map(json.loads, output.splitlines())}
        answers.append((said, errors.strip().splitlines()[-1:]))
        for round, _, by in said.values():
            makers.setdefault(round, set()).add(by)
    for number, (said, errors) in enumerate(answers):
        for round in range(rounds):
            whole = round in said and said[round][1] and len(makers[round]) == 1
            detail = f"{said.get(round, 'no answer')}, contents {len(makers.get(round, ()))}, {errors}"
            yield Fault(f"process {number}, round {round}", whole, detail)


def killed(folder: Path, name: str, how: int) -> Fault:
    """Survived: the next one that asks gets the entry at once, made anew."""
    holder = subprocess.Popen(
        [sys.executable, "-c", DIES, str(folder), name], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    holder.stdout.readline()
    os.kill(holder.pid, how)
    holder.communicate()
    waited: list[str] = []

    def make(part: Path) -> None:
        (part / "whole").write_text("whole")

    entry = Cache(folder).get("things", {"killed": name}, make, waiting=lambda: waited.append("waits"))
    files = sorted(path.name for path in entry.path.iterdir())
    left = [path.name for path in entry.path.parent.glob(f".{key_of({'killed': name})}.part*")]
    good = files == ["about.json", "whole"] and not waited and not left
    return Fault(f"holder killed by {signal.Signals(how).name}", good, f"{files}, waited {waited}, left {left}")
