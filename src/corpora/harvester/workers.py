"""Processes that make shards. If one dies, or its alarm kills it, only the file that it was parsing is lost.

They are plain child processes instead of multiprocessing, which would import the caller's main module with torch in
each of them, and would not report the file at which a process died.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread, local

from src.corpora.harvester.shards import Shard, make

SECONDS_PER_FILE = 120  # the largest files take one second
_PROJECT = Path(__file__).parents[3]


def harvest_all(shards: Sequence[Shard], workers: int, done: Callable[[Shard], object]) -> None:
    """Makes the missing shards in any order, and calls `done` for each; with 0 `workers` in this process."""
    todo = [shard for shard in shards if not shard.about.exists()]
    if not workers:
        for shard in todo:
            make(shard)
            done(shard)
        return
    with closing(_Children()) as children, ThreadPoolExecutor(workers) as threads:
        try:
            for future in as_completed([threads.submit(children.make, shard) for shard in todo]):
                done(future.result())
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            children.end()


class _Children:
    """One child process per thread."""

    def __init__(self) -> None:
        self._of_thread = local()
        self._all: list[subprocess.Popen[bytes]] = []
        self._ended = False

    def make(self, shard: Shard) -> Shard:
        """The shard, made by this thread's child, without the files that killed a child."""
        fatal: list[str] = []
        shard.now.unlink(missing_ok=True)
        while not self._finishes(shard, fatal):
            name = shard.now.read_text(encoding="utf-8").split("\n")[-2] if shard.now.exists() else ""
            if not name or name in fatal:
                raise RuntimeError("a harvest worker died outside any file; its message is above")
            fatal.append(name)
        return shard

    def end(self) -> None:
        """Kills all of them, which ends the waiting of their threads."""
        self._ended = True
        for child in self._all:
            child.kill()

    def close(self) -> None:
        """Releases the processes, after the last thread has ended."""
        for child in self._all:
            child.communicate()

    def _finishes(self, shard: Shard, fatal: list[str]) -> bool:
        """Whether the child finished the shard; False if it died."""
        child: subprocess.Popen[bytes] = getattr(self._of_thread, "child", None) or self._start()
        self._of_thread.child = child
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):  # the child died before it read the whole message
            with open(child.stdin.fileno(), "wb", closefd=False) as stream:  # writes all, unlike the unbuffered pipe
                pickle.dump((shard, fatal), stream)
            if child.stdout.readline():
                return True
        child.kill()
        child.wait()
        self._of_thread.child = None
        return False

    def _start(self) -> subprocess.Popen[bytes]:
        if self._ended:
            raise RuntimeError("the harvest was stopped")
        path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
        child = subprocess.Popen(
            [sys.executable, "-m", "src.corpora.harvester.workers"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # so that only the parent receives Ctrl-C
        )
        self._all.append(child)
        return child


def main() -> None:
    """The main loop of a child: reads shards from standard input and answers each, until the input ends."""
    requests: SimpleQueue[tuple[Shard, list[str]]] = SimpleQueue()
    Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        make(*requests.get(), begin=lambda: signal.alarm(SECONDS_PER_FILE))  # SIGALRM ends the process
        signal.alarm(0)
        print("made", flush=True)


def _listen(requests: SimpleQueue[tuple[Shard, list[str]]]) -> None:
    """Ends the process as soon as the parent has died: the next harvest makes the same shard again."""
    while True:
        try:
            requests.put(pickle.load(sys.stdin.buffer))
        except (EOFError, pickle.UnpicklingError):
            os._exit(0)


if __name__ == "__main__":
    main()
