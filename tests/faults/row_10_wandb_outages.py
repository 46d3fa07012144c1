"""Trains while W&B refuses, hangs, is not found, answers 401 or 500, or goes away in mid-run."""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import wandb

from tests.faults.harness import Fault, scratch
from tests.support.commands import QUICK, run_command
from tests.support.doubles import write_corpus
from tests.support.processes import free_port
from tests.support.wandb_server import KEY, Server, wandb_on_loopback
from tests.support.wandb_transaction_log import finished, history

TITLE = "6 W&B outages: refused, hang, DNS, 401, 500, drop in mid-run"
PROMISE = "training finishes, local logs are complete, what is left syncs as one run; its cost: docs/wandb.md"
FULL = 6
PATIENCE = 4  # logger.wandb.timeout, seconds


def run(full: bool) -> Iterator[Fault]:
    kinds = ("refused", "hang", "unknown host", "401", "500", "drop in mid-run", "hang in mid-run")
    with scratch() as folder:
        root = write_corpus(folder / "corpus")
        for kind in kinds if full else ("refused",):
            yield outage(folder / kind.replace(" ", "-"), root, kind)


def outage(folder: Path, root: Path, kind: str) -> Fault:
    """Survived: status 0, every loss of metrics.csv in W&B's files, and one run on a server that is there again."""
    with wandb_on_loopback() as server, failing(server, kind, folder / "metrics.csv") as happened:
        start = time.monotonic()
        result = run_command(
            "train", folder, *QUICK, "corpus=codesearchnet", f"corpus.root={root}", "data.batch_size=16",
            "trainer.max_epochs=3", "trainer.log_every_n_steps=1", "logger=wandb", f"logger.wandb.timeout={PATIENCE}",
        )  # fmt: skip
        seconds = time.monotonic() - start
        if result.status or not happened.is_set():
            return Fault(kind, False, f"status {result.status}, outage {happened.is_set()}: {result.errors}")
        losses = logged(folder / "metrics.csv")
        parts = sorted(folder.glob("wandb/*run-*/run-*.wandb"))
        kept = [loss for part in parts for loss in history(finished(part), "train/loss")]
        server.fails = None
        server.over.set()
        os.environ["WANDB_BASE_URL"] = server.url
        synced = subprocess.run(
            [sys.executable, "-m", "wandb", "sync", "--include-online", *(str(part.parent) for part in parts)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            env=dict(os.environ),
        )
        runs = {name: found for name, found in server.runs.items() if found["history"]}
        there = sum("train/loss" in line for found in runs.values() for line in found["history"].values())
    good = len(losses) == 12 and set(rounded(losses)) <= set(rounded(kept)) and len(runs) == 1 and there >= len(losses)
    detail = f"{len(losses)} losses, {len(kept)} kept, {there} synced as {len(runs)} runs, {seconds:.0f} s"
    return Fault(kind, good, f"{detail} {synced.stderr[-200:] if synced.returncode else ''}")


def logged(path: Path) -> list[float]:
    """The training's losses in a metrics.csv; none where it is not there yet."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row.get("train/loss")]


def rounded(losses: list[float]) -> list[float]:
    return [round(loss, 5) for loss in losses]


@contextlib.contextmanager
def failing(server: Server, kind: str, metrics: Path | None = None) -> Iterator[threading.Event]:
    """The environment of a run whose server fails as asked, and whether it did; as it was afterwards.

    In mid-run: once `metrics`, the run's metrics.csv, has losses.
    """
    urls = {"refused": f"http://127.0.0.1:{free_port()}", "unknown host": "http://nobody.invalid"}
    given = {"WANDB_BASE_URL": urls.get(kind, server.url), "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
    happened = threading.Event()
    if kind.endswith("in mid-run"):
        threading.Thread(target=fail_later, args=(server, kind.split()[0], metrics, happened), daemon=True).start()
    else:
        server.fails = kind if kind in ("hang", "401", "500") else None
        happened.set()
    wandb.teardown()
    with mock.patch.dict(os.environ, given):
        try:
            yield happened
        finally:
            server.over.set()
            wandb.teardown()


def fail_later(server: Server, how: str, metrics: Path, happened: threading.Event) -> None:
    while not server.over.wait(0.02):
        if logged(metrics):
            server.fails = how
            return happened.set()
