"""A W&B server that refuses, hangs, answers 401 or 500, or goes away: seconds are lost, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import wandb

from src.loggers.server_probe import ServerProbe
from src.loggers.wandb import FaultTolerantWandbLogger
from tests.support.processes import free_port
from tests.support.wandb_transaction_log import finished, history

PATIENCE = 4.0
SLACK = 15.0  # of a busy machine; the server hangs for minutes


def trained(folder, server=None, fails=None, steps: int = 3) -> FaultTolerantWandbLogger:
    """A run of which the server goes away before its last step."""
    logger = FaultTolerantWandbLogger(folder, timeout=PATIENCE, project="p", name="n")
    for step in range(steps):
        if fails and step == steps - 1:
            server.fails = fails
        logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    logger.tables["results"] = ["model", "mrr"], [["a", 0.5]]
    logger.finish({"test/mrr": 0.5})
    return logger


def synced(folder, *options: str) -> None:
    """As a person does when the server is there again."""
    parts = sorted(str(path) for path in folder.glob("wandb/*run-*[!n]") if path.is_dir() and not path.is_symlink())
    command = [sys.executable, "-m", "wandb", "sync", *options, *parts]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120, env=dict(os.environ))


def test_a_server_that_answers_gets_the_whole_run(server, tmp_path, capsys):
    run = trained(tmp_path)
    found = server.runs[run.version]
    assert [line["train/loss"] for line in found["history"].values() if "train/loss" in line] == [1.0, 1 / 2, 1 / 3]
    assert found["summary"]["test/mrr"] == 0.5
    assert found["complete"]
    assert "results.table.json" in server.files
    assert capsys.readouterr().out == f"W&B: logging to {server.url}/me/project/runs/{run.version}\n"


@pytest.mark.parametrize("fails", ["401", "500", "hang", "drop"])
def test_a_broken_server_neither_ends_a_run_nor_loses_it(fails, server, tmp_path, capsys):
    server.fails = fails
    start = time.monotonic()
    logger = trained(tmp_path)
    assert time.monotonic() - start < PATIENCE + SLACK
    said = capsys.readouterr().out
    assert said.count("online logging did not start") == 1
    assert "wandb sync" in said
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert history(finished(path), "train/loss") == [1.0, 1 / 2, 1 / 3]
    if fails == "500":
        server.fails = None
        synced(tmp_path)
        assert list(server.runs) == [logger.version]
        assert server.runs[logger.version]["summary"]["test/mrr"] == 0.5


def test_a_server_that_goes_away_gets_the_end_of_the_run_by_a_later_sync(server, tmp_path, capsys):
    start = time.monotonic()
    logger = trained(tmp_path, server, fails="hang")
    assert time.monotonic() - start < 2 * PATIENCE + SLACK
    said = capsys.readouterr().out
    assert said.count("logging stopped (no answer from") == 1
    assert f"for the rest: wandb sync --include-online {tmp_path}/wandb/*run-*" in said
    server.over.set()
    server.fails = None
    synced(tmp_path, "--include-online")
    assert list(server.runs) == [logger.version]
    found = server.runs[logger.version]
    assert {line["train/loss"] for line in found["history"].values() if "train/loss" in line} == {1.0, 1 / 2, 1 / 3}
    assert found["summary"]["test/mrr"] == 0.5
    assert "results.table.json" in server.files


def test_offline_parts_become_one_run(server, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    trained(tmp_path, steps=2)
    time.sleep(1.1)  # a part's folder is named by the second
    logger = trained(tmp_path, steps=3)
    monkeypatch.delenv("WANDB_MODE")
    synced(tmp_path)
    assert list(server.runs) == [logger.version]
    lines = server.runs[logger.version]["history"].values()
    assert [line["train/loss"] for line in lines if "train/loss" in line] == [1.0, 1 / 2, 1.0, 1 / 2, 1 / 3]
    assert [line["_step"] for line in lines] == list(range(len(lines)))


def test_a_hanging_server_delays_for_no_longer_than_it_may(server):
    server.fails = "hang"
    start = time.monotonic()
    assert "no answer from" in ServerProbe(0.5).unavailable_reason()
    assert 0.4 < time.monotonic() - start < 0.5 + SLACK
    server.fails = "401"  # the client says itself what is wrong with the key
    assert ServerProbe(30).unavailable_reason() is None


def test_a_refused_connection_is_not_waited_for(server, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{free_port()}")
    wandb.teardown()
    start = time.monotonic()
    assert "cannot be reached" in ServerProbe(60).unavailable_reason()
    assert time.monotonic() - start < 30


def test_the_client_does_not_report_on_itself(server, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    assert wandb.env.error_reporting_enabled()
    trained(tmp_path)
    assert not wandb.env.error_reporting_enabled()


def test_the_probe_does_not_send_the_key(server):
    ServerProbe(30).unavailable_reason()
    assert (server.asked, server.keys) == (["Absence"], [None])
