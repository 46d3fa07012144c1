"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tests.support.wandb_server import KEY, Server, wandb_on_loopback

# Nothing in a test may ask the network, a terminal or a key file.
os.environ["WANDB_MODE"] = "offline"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# The same examples in every run, and no deadline: a busy machine is no failure.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

torch.set_num_threads(1)  # test processes run side by side

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is absent."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs real data in ../shared, which is absent here")
    return folder


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    """A W&B server on loopback, and an environment in which W&B finds it and its key."""
    import wandb  # not before the lines above

    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    wandb.teardown()  # which keeps what the environment said before
    with wandb_on_loopback() as found:
        monkeypatch.setenv("WANDB_BASE_URL", found.url)
        yield found
        found.fails = None
        found.over.set()
        wandb.teardown()
