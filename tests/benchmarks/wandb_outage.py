"""What W&B's outages add to a training, and what of its log is kept: python -m tests.benchmarks.wandb_outage

A server on loopback refuses, hangs, answers 401 or 500, or goes away in mid-run. The training is a loop that sleeps and
logs ten times a second, so that what is added does not drown in what else a shared machine does. Ratios are to the
seconds of the loop; what an outage adds does not grow with them. Kept: losses in W&B's log on disk.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import wandb

from src.loggers import ForgivingWandbLogger
from tests.processes import free_port
from tests.transactions import finished, history
from tests.wandb_server import KEY, wandb_on_loopback

OUTAGES = ("none", "refused", "unknown host", "hang", "401", "500", "drop in mid-run", "hang in mid-run")
TICK = 0.1  # seconds


@contextlib.contextmanager
def outage(kind: str, after: float) -> Iterator[None]:
    """The environment of a run, and a server that fails as asked."""
    wandb.teardown()
    with wandb_on_loopback() as server:
        urls = {"refused": f"http://127.0.0.1:{free_port()}", "unknown host": "http://nobody.invalid"}
        os.environ.update(WANDB_BASE_URL=urls.get(kind, server.url), WANDB_API_KEY=KEY)
        how = kind.split()[0]
        if kind in ("hang", "401", "500"):
            server.fails = how
        later = threading.Timer(after, setattr, (server, "fails", how))
        if kind.endswith("in mid-run"):
            later.start()
        try:
            yield
        finally:
            later.cancel()
            server.over.set()
            wandb.teardown()


def trained(folder: Path, seconds: float) -> float:
    """Seconds of a run that works for `seconds`."""
    start = time.perf_counter()
    logger = ForgivingWandbLogger(folder, project="p", name="n")
    for step in range(round(seconds / TICK)):
        time.sleep(TICK)
        logger.log_metrics({"train/loss": 1 / (step + 1)}, step)
    logger.tables["results"] = ["model", "mrr"], [["a", 0.5]]
    logger.finish({"test/mrr": 0.5})
    return time.perf_counter() - start


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=15.0)
    seconds = arguments.parse_args().seconds
    os.environ.pop("WANDB_MODE", None)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for kind in OUTAGES:
            folder = Path(name) / kind.replace(" ", "_")
            with outage(kind, seconds / 2):
                took = trained(folder, seconds)
            parts = [finished(path) for path in folder.glob("wandb/*run-*/run-*.wandb")]
            rows.append((kind, took - seconds, sum(len(history(part, "train/loss")) for part in parts)))
            print(f"{kind}: {rows[-1][1]:.1f} s longer, {rows[-1][2]} losses kept", flush=True)
    steps = round(seconds / TICK)
    print(f"\n| Outage | longer by | of {seconds:g} s | of 10 minutes | losses kept |\n|---|---|---|---|---|")
    for kind, added, kept in rows:
        print(f"| {kind} | {added:.1f} s | {1 + added / seconds:.2f} | {1 + added / 600:.3f} | {kept} of {steps} |")


if __name__ == "__main__":
    main()
