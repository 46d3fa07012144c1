"""What W&B's outages add to the main job: python -m tests.benchmarks.wandb_outage [--rounds N] [OVERRIDE ...]

A server on loopback refuses, hangs, answers 401 or 500, or goes away in mid-run; beside the outages, in turn, the same
command runs with a server that answers. A first run, which fills the cache, is left out. Kept: losses in W&B's files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.faults.row_10_wandb_outages import failing, logged
from tests.support.wandb_server import wandb_on_loopback
from tests.support.wandb_transaction_log import finished, history

OUTAGES = ("none", "refused", "unknown host", "hang", "401", "500", "drop in mid-run", "hang in mid-run")
COMMAND = (sys.executable, "-m", "src.train", "loss=soft_infonce", "weights=bm25", "lang=python", "logger=wandb")


def trained(kind: str, folder: Path, overrides: list[str]) -> tuple[float, int, int]:
    """Seconds of the command, losses in its metrics.csv, and those in W&B's files."""
    with wandb_on_loopback() as server, failing(server, kind, folder / "metrics.csv") as happened:
        start = time.perf_counter()
        subprocess.run(
            [*COMMAND, "resume=never", f"hydra.run.dir={folder}", *overrides], check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - start
        assert happened.is_set(), f"{kind} did not happen: the training was over before"
        parts = [finished(path) for path in folder.glob("wandb/*run-*/run-*.wandb")]
    return seconds, len(logged(folder / "metrics.csv")), sum(len(history(part, "train/loss")) for part in parts)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("overrides", nargs="*", help="of src.train, such as trainer.max_epochs=12")
    given = arguments.parse_args()
    os.environ.pop("WANDB_MODE", None)
    seconds: dict[str, list[float]] = {kind: [] for kind in OUTAGES}
    losses: dict[str, set[str]] = {kind: set() for kind in OUTAGES}
    with tempfile.TemporaryDirectory() as name:
        trained("none", Path(name) / "warm", given.overrides)
        for turn in range(given.rounds):
            for kind in OUTAGES:
                took, logs, kept = trained(kind, Path(name) / f"{turn}-{kind.replace(' ', '-')}", given.overrides)
                seconds[kind].append(took)
                losses[kind].add(f"{kept} of {logs}")
                print(f"{kind}: {took:.1f} s, {kept} of {logs} losses kept", flush=True)
    usual = median(seconds["none"])
    print("\n| Outage | seconds, median (least to most) | to none | losses kept |\n|---|---|---|---|")
    for kind, took in seconds.items():
        spread = f"{median(took):.1f} ({min(took):.1f} to {max(took):.1f})"
        print(f"| {kind} | {spread} | {median(took) / usual:.2f} | {', '.join(sorted(losses[kind]))} |")


if __name__ == "__main__":
    main()
