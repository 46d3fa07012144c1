"""How long a query takes on an index: a process from start to its answer, then one query after the other:

python -m tests.benchmarks.latency INDEX [exact=true] [fusion=rrf] [starts=5]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from src.deploy.index.searcher import Searcher
from tests.conftest import PROJECT

QUERIES = Path(__file__).with_name("queries.txt").read_text(encoding="utf-8").splitlines()


def main(index: str, *options: str) -> None:
    given = dict(option.split("=") for option in options)
    searcher = Searcher(index)
    asked = {"exact": given.get("exact") == "true", "fusion": given.get("fusion", "none")}
    searcher.search("warm up", **asked)
    spent, processor = [], []
    for _ in range(5):
        for query in QUERIES:
            start, own = time.perf_counter(), time.process_time()
            searcher.search(query, **asked)
            spent.append(1000 * (time.perf_counter() - start))
            processor.append(1000 * (time.process_time() - own))
    print(f"{searcher.index.items:,} distinct functions, {asked}, approximate: {searcher.graph is not None}")
    print(f"query   median {np.median(spent):.0f} ms, 95% {np.percentile(spent, 95):.0f} ms")
    print(f"        of processor time {np.median(processor):.0f} ms, 95% {np.percentile(processor, 95):.0f} ms")
    command = [sys.executable, "-m", "src.search", f"index={index}", "open a file", "top=1", "json=true"]
    starts, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(int(given.get("starts", 5))):
        start = time.perf_counter()
        subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)
        starts.append(time.perf_counter() - start)
    if starts:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(starts)
        print(f"a whole command, its start included: median {np.median(starts):.1f} s, processor time {used:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
