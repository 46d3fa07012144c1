"""W&B may fail in any way; a run may not."""

from __future__ import annotations

import pytest
import torch
import wandb

from src.errors import InputError
from src.loggers import ForgivingWandbLogger


class FakeRun:
    """A run of which every call is recorded, and fails where told to."""

    url, dir, id, name = "https://example.org/run", "outputs/wandb/offline-run-1/files", "1", "run"

    def __init__(self, fails: bool = False) -> None:
        self.calls, self.fails = [], fails
        self.summary = self

    def __getattr__(self, name):
        if name.startswith("_") or name == "config":
            raise AttributeError(name)

        def call(*args, **kwargs):
            self.calls.append(name)
            if self.fails and name in ("log", "finish", "update"):
                raise ConnectionError("refused\nsecond line")

        return call


@pytest.fixture
def wandb_init(monkeypatch):
    """Replaces wandb.init: fails for the modes in `refused`, records the modes asked for."""
    monkeypatch.delenv("WANDB_MODE", raising=False)
    asked, refused, run = [], set(), FakeRun()

    def init(mode, **options):
        asked.append(mode)
        if mode in refused:
            raise wandb.errors.CommError("no server")
        return run

    monkeypatch.setattr(wandb, "init", init)
    return asked, refused, run


def test_without_a_key_it_prompts(wandb_init, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(wandb, "login", lambda prompt, verify: False if prompt is False else pytest.fail("prompts"))
    ForgivingWandbLogger(tmp_path)
    assert wandb_init[0] == ["offline"]
    assert capsys.readouterr().out == "W&B: logging offline; to upload: wandb sync outputs/wandb/offline-run-1\n"


def test_with_a_key_it_stays_offline(wandb_init, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(wandb, "login", lambda **options: True)
    ForgivingWandbLogger(tmp_path)
    assert wandb_init[0] == ["online"]
    assert "logging to https://example.org/run" in capsys.readouterr().out


def test_a_refused_connection_ends_the_run(wandb_init, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(wandb, "login", lambda **options: True)
    wandb_init[1].add("online")
    ForgivingWandbLogger(tmp_path)
    assert wandb_init[0] == ["online", "offline"]
    assert "online logging did not start (no server)" in capsys.readouterr().out


def test_the_environment_variable_is_overruled(wandb_init, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    ForgivingWandbLogger(tmp_path, mode="online")
    assert wandb_init[0] == ["disabled"]


def test_a_connection_lost_in_mid_run_ends_the_run_or_is_said_every_step(wandb_init, tmp_path, capsys):
    wandb_init[2].fails = True
    logger = ForgivingWandbLogger(tmp_path, mode="offline")
    for step in range(3):
        logger.log_metrics({"train/loss": 1.0}, step)
    logger.log_histogram("weights", torch.rand(5), 3)
    logger.finish({"test/mrr": 0.5})
    assert wandb_init[2].calls.count("log") == 1
    assert capsys.readouterr().out.count("logging stopped (refused)") == 1


def test_an_unknown_mode_is_accepted(tmp_path):
    with pytest.raises(InputError, match="did you mean 'offline'"):
        ForgivingWandbLogger(tmp_path, mode="ofline")


def test_an_offline_run_holds_no_metrics(tmp_path):
    logger = ForgivingWandbLogger(tmp_path, mode="offline", project="p", name="n", config={"seed": 1})
    logger.log_metrics({"train/loss": 0.5}, 1)
    logger.log_histogram("weights/histogram", torch.rand(13), 1)
    logger.finish({"test/mrr": 0.5})
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert b"test/mrr" in file.read_bytes()
    assert b"weights/histogram" in file.read_bytes()
