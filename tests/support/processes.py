"""Several processes that train together, forked from the test's process, so that imports happen only once."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import src.train  # noqa: F401 - before the processes fork: otherwise each one would import it
from src.runtime.quiet import quiet_libraries

PATIENCE = 240  # seconds for all processes, of the 300 that a test has, so that a busy machine causes no failure
LOOPBACK = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}


def several(world: int, folder: Path, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(*arguments)` returns in each of `world` processes that are joined by gloo, as Lightning finds them.

    Raises AssertionError where one of them fails; its traceback is in the captured stderr.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_joined, args=(rank, world, folder, work, arguments), daemon=True)
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    until = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0, until - time.monotonic()))
        process.kill()
        process.join()
    assert [process.exitcode for process in processes] == [0] * world
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world)]


def _joined(rank: int, world: int, folder: Path, work: Callable[..., Any], arguments: tuple) -> None:
    os.environ.update({**LOOPBACK, "MASTER_PORT": "0", "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)})
    quiet_libraries()
    warnings.filterwarnings("ignore", message=".*barrier.*device.*")
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world)
    torch.save(work(*arguments), folder / f"{rank}.pt")
    dist.barrier()  # nobody leaves while another still needs it
    dist.destroy_process_group()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
