"""Processes that make shards. One that dies, or is killed by its alarm, costs the file that it was parsing.

Plain child processes, not multiprocessing: that would import the caller's main module, torch and all, in every one of
them, and would not tell which file a dead one was at.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import local

from src.harvester.shards import Shard, make

SECONDS_PER_FILE = 120  # a file of the largest size takes one
_PROJECT = Path(__file__).parents[2]


def harvest_all(shards: Sequence[Shard], workers: int, done: Callable[[Shard], None]) -> None:
    """Makes every shard that is missing, in any order, and calls `done` for each; `workers` 0: in this process."""
    todo = []
    for shard in shards:
        if shard.about.exists():
            done(shard)
        else:
            todo.append(shard)
    if not workers:
        for shard in todo:
            make(shard)
            done(shard)
        return
    children = _Children()
    with ThreadPoolExecutor(workers) as threads:
        try:
            for future in as_completed([threads.submit(children.make, shard) for shard in todo]):
                done(future.result())
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            children.end()


class _Children:
    """A child process for each thread that asks."""

    def __init__(self) -> None:
        self._mine = local()
        self._all: list[subprocess.Popen[bytes]] = []

    def make(self, shard: Shard) -> Shard:
        """The shard, made by this thread's child, without the files that killed one."""
        fatal: list[str] = []
        while not self._answers(shard, fatal):
            name = shard.now.read_text(encoding="utf-8").split("\n")[-2] if shard.now.exists() else ""
            if not name or name in fatal:
                raise RuntimeError("a harvest worker died outside any file; its message is above")
            fatal.append(name)
        return shard

    def end(self) -> None:
        for child in self._all:
            child.kill()
            child.communicate()

    def _answers(self, shard: Shard, fatal: list[str]) -> bool:
        child = getattr(self._mine, "child", None)
        if child is None or child.poll() is not None:
            child = self._mine.child = self._start()
        try:
            pickle.dump((shard, fatal), child.stdin)
            child.stdin.flush()
            return bool(child.stdout.readline())
        except BrokenPipeError:
            return False
        finally:
            if child.poll() is not None:
                child.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "src.harvester.workers"]
        # A group of its own: Ctrl-C is the parent's to handle.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._all.append(child)
        return child


def main() -> None:
    """What a child does: shards from standard input, an answer for each, until the input ends."""
    alarm = getattr(signal, "alarm", lambda seconds: None)  # POSIX only; its default action ends the process
    while True:
        try:
            shard, fatal = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        make(shard, fatal, begin=lambda: alarm(SECONDS_PER_FILE))
        alarm(0)
        print("made", flush=True)


if __name__ == "__main__":
    main()
