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
from queue import SimpleQueue
from threading import Thread, local
from typing import IO

from src.corpora.harvester.shards import Shard, make

SECONDS_PER_FILE = 120  # a file of the largest size takes one
_PROJECT = Path(__file__).parents[3]


def harvest_all(shards: Sequence[Shard], workers: int, done: Callable[[Shard], None]) -> None:
    """Makes the shards that are missing, in any order, and calls `done` for each; `workers` 0: in this process."""
    todo = [shard for shard in shards if not shard.about.exists()]
    if not workers:
        for shard in todo:
            make(shard)
            done(shard)
        return
    children = _Children()
    try:
        with ThreadPoolExecutor(workers) as threads:
            try:
                for future in as_completed([threads.submit(children.make, shard) for shard in todo]):
                    done(future.result())
            finally:
                threads.shutdown(wait=False, cancel_futures=True)
                children.end()
    finally:
        children.close()


class _Children:
    """A child process for each thread that asks."""

    def __init__(self) -> None:
        self._of_thread = local()
        self._all: list[subprocess.Popen[bytes]] = []
        self._ended = False

    def make(self, shard: Shard) -> Shard:
        """The shard, made by this thread's child, without the files that killed one."""
        fatal: list[str] = []
        shard.now.unlink(missing_ok=True)
        while not self._answers(shard, fatal):
            name = shard.now.read_text(encoding="utf-8").split("\n")[-2] if shard.now.exists() else ""
            if not name or name in fatal:
                raise RuntimeError("a harvest worker died outside any file; its message is above")
            fatal.append(name)
        return shard

    def end(self) -> None:
        """Kills them all; threads that wait for an answer get none."""
        self._ended = True
        for child in self._all:
            child.kill()

    def close(self) -> None:
        """Once no thread waits any more."""
        for child in self._all:
            child.wait()
            child.stdin.close()
            child.stdout.close()

    def _answers(self, shard: Shard, fatal: list[str]) -> bool:
        """Whether the child lived to make the shard."""
        child = getattr(self._of_thread, "child", None) or self._start()
        self._of_thread.child = child
        try:
            _send(child.stdin, pickle.dumps((shard, fatal)))
            if child.stdout.readline():
                return True
        except BrokenPipeError:  # dead before it read all of it: no answer either
            pass
        child.kill()
        child.wait()
        self._of_thread.child = None
        return False

    def _start(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "src.corpora.harvester.workers"]
        if self._ended:
            raise RuntimeError("the harvest was stopped")
        # A session of its own: Ctrl-C is the parent's to handle.
        child = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._all.append(child)
        return child


def _send(stream: IO[bytes], message: bytes) -> None:
    """All of it: an unbuffered pipe, which leaves nothing to flush when the reader is dead, may take a part."""
    rest = memoryview(message)
    while rest:
        rest = rest[stream.write(rest) :]


def main() -> None:
    """What a child does: shards from standard input, an answer for each, until the input ends."""
    alarm = getattr(signal, "alarm", lambda seconds: None)  # POSIX only; its default action ends the process
    requests: SimpleQueue[tuple[Shard, list[str]]] = SimpleQueue()
    Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        make(*requests.get(), begin=lambda: alarm(SECONDS_PER_FILE))
        alarm(0)
        print("made", flush=True)


def _listen(requests: SimpleQueue[tuple[Shard, list[str]]]) -> None:
    """Ends the process at once when the parent is gone, killed perhaps: the next harvest makes the same shard."""
    while True:
        try:
            requests.put(pickle.load(sys.stdin.buffer))
        except (EOFError, pickle.UnpicklingError):
            os._exit(0)


if __name__ == "__main__":
    main()
