"""One command as several processes: the rank of this one, what rank 0 does alone, and how all of them end.

docs/launch.md says what the processes do; what the others than rank 0 write goes to a temporary folder. torch and
Lightning are imported where they are used: a sweep that has nothing to run is over before they would be.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.runtime.signals import blocked_signals
from src.utils.errors import InputError, first_line, nearest

if TYPE_CHECKING:
    from lightning import Trainer

PARENT = os.getppid()
STARTED_BY = "SOFT_INFONCE_STARTED_BY"  # the process whose command Lightning repeats for the others
POLL = 0.1  # seconds between two looks whether the launcher of a secondary process is still there
GRACE = 5.0  # seconds in which a launcher ends the remaining processes; torchrun looks ten times a second
# Variables by which a library takes this process for one of several.
RANK_KEYS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK")
LAUNCHER_PREFIXES = ("TORCHELASTIC_", "SLURM_")
_silenced: list[TextIO] = []  # the standard output of a secondary process


def process_rank() -> int:
    """The rank of this process among those of the command, as its launcher says."""
    return next((int(os.environ[key]) for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if key in os.environ), 0)


def is_rank_zero() -> bool:
    """Whether this is the process that prints and writes."""
    return process_rank() == 0


@dataclass(frozen=True)
class ExternalLaunch:
    """The processes that torchrun or SLURM started."""

    launcher: str
    per_node: int
    nodes: int

    @property
    def processes(self) -> int:
        return self.per_node * self.nodes

    @classmethod
    def detect(cls) -> ExternalLaunch | None:
        """From the environment; None where this process was started alone, or by Lightning."""
        environment = os.environ
        if "TORCHELASTIC_RUN_ID" in environment:
            per_node = int(environment["LOCAL_WORLD_SIZE"])
            return cls("torchrun", per_node, int(environment["WORLD_SIZE"]) // per_node)
        # A batch script's own commands see the number of tasks too; only srun's processes have a step.
        if "SLURM_STEP_ID" in environment and "SLURM_NTASKS" in environment:
            nodes = int(environment.get("SLURM_NNODES", 1))
            return cls("srun", int(environment.get("SLURM_NTASKS_PER_NODE", environment["SLURM_NTASKS"])), nodes)
        return None


def resolve_devices(cfg: DictConfig) -> int:
    """The number of devices; `trainer.devices` and `num_nodes` are set to what torchrun or SLURM started if left open.

    Raises InputError where they contradict each other, or where the devices cannot share a batch evenly.
    """
    from lightning.pytorch.strategies import ParallelStrategy
    from torch import distributed

    from src.runtime.lightning_internals import forks_processes

    trainer, launch = cfg.trainer, ExternalLaunch.detect()
    if launch is not None:
        if trainer.devices == "auto":
            trainer.devices = launch.per_node
        if trainer.num_nodes == 1:
            trainer.num_nodes = launch.nodes
    probe = build_probe(trainer)
    world_size = probe.num_devices * probe.num_nodes
    if launch is not None and launch.processes != world_size:
        raise InputError(
            f"{launch.launcher} started {launch.nodes} x {launch.per_node} processes, found trainer.num_nodes="
            f"{trainer.num_nodes} x trainer.devices={trainer.devices}: add trainer=ddp, which uses what was started"
        )
    if launch is None and isinstance(probe.strategy, ParallelStrategy) and probe.strategy.cluster_environment:
        try:
            probe.strategy.cluster_environment.validate_settings(probe.num_devices, probe.num_nodes)
        except ValueError as error:
            raise InputError(f"in a SLURM job, start the processes with srun ({error})") from error
    if forks_processes(probe.strategy):
        raise InputError(
            f"trainer.strategy={trainer.strategy!r} forks this process, and the results of its copies would be lost: "
            "take trainer.strategy=ddp"
        )
    if distributed.is_initialized() and world_size not in (1, joined := distributed.get_world_size()):
        raise InputError(
            f"the jobs of a sweep have the devices that its first one had: expected {joined}, found {world_size}; "
            "start one sweep for each number of devices"
        )
    batch_size = cfg.data.batch_size
    if batch_size % world_size:
        below = batch_size - batch_size % world_size
        near = [str(size) for size in (below, below + world_size) if size]
        raise InputError(
            "data.batch_size is the number of pairs of a step on all devices together: expected a multiple of the "
            f"{world_size} devices, found {batch_size}; set data.batch_size={' or '.join(near)}"
        )
    if "data_parallel_size" in (OmegaConf.select(trainer, "strategy") or ()):
        trainer.strategy.data_parallel_size = world_size
    return world_size


def build_probe(trainer: DictConfig) -> Trainer:
    """The Trainer of conf/trainer, to read its settings. Raises InputError, with the key, if Lightning refuses it."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.accelerators import AcceleratorRegistry
    from lightning.pytorch.strategies import StrategyRegistry

    registries = {"strategy": StrategyRegistry.available_strategies(), "accelerator": AcceleratorRegistry}
    try:
        return instantiate(trainer, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (InstantiationException, MisconfigurationException, TypeError, ValueError) as error:
        cause: BaseException = error
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        message = first_line(cause).split(". ")[0].rstrip(".")
        raise InputError(_explain_refusal(trainer, message, registries)) from cause


def _explain_refusal(trainer: DictConfig, message: str, registries: Mapping[str, Collection[str]]) -> str:
    """Lightning's message about conf/trainer, with the key that it is about and what to set instead."""
    if "devices" in message and "requested" not in message and "strategy" not in message:
        return (
            f"trainer.devices={trainer.get('devices')}: expected a number of devices of 1 or more, a list of their "
            f"numbers or auto ({message})"
        )
    named = [key for key in map(str, trainer) if re.search(rf"\b{key}\b", message)]
    key = next(iter(named), "accelerator" if "backend" in message or "Requirement" in message else "")
    if not key:
        return f"trainer: {message}"
    value, hint = trainer.get(key), ""
    if isinstance(value, str) and key in registries:
        known = [*registries[key], "auto", "gpu"]
        hint = "; auto takes what this machine has" if value in known else nearest(value, known)
    return f"trainer.{key}={value!r}: {message}{hint}"


@contextmanager
def as_single_process() -> Iterator[None]:
    """Inside, this process is no part of the command's: what it trains it trains on one device, and it prints."""
    from lightning.pytorch import utilities

    rank_zero_only: Any = utilities.rank_zero_only  # a function with an attribute `rank`
    hidden = {key: value for key, value in os.environ.items() if key in RANK_KEYS or key.startswith(LAUNCHER_PREFIXES)}
    before = rank_zero_only.rank
    for key in hidden:
        del os.environ[key]
    rank_zero_only.rank = 0
    try:
        with redirect_stdout(sys.__stdout__ if sys.stdout in _silenced else sys.stdout), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The `srun` command is available")  # and hidden from Lightning
            yield
    finally:
        os.environ.update(hidden)
        rank_zero_only.rank = before


def silence_secondary_rank() -> list[str]:
    """Silences a process of another rank than 0; returns the overrides that send its files to a temporary folder."""
    folder = tempfile.mkdtemp(prefix="process-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _silenced.append(open(os.devnull, "w"))  # noqa: SIM115 (as long as the process lives)
    sys.stdout = _silenced[-1]
    warnings.simplefilter("ignore")  # rank 0 shows them
    threading.Thread(target=_exit_with_launcher, args=(folder,), daemon=True, name="launcher").start()
    return [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]


def started_by_lightning() -> bool:
    """Whether Lightning's launcher started this process."""
    return not is_rank_zero() and ExternalLaunch.detect() is None


def exit_status(of_command: int) -> int:
    """The exit status of this process where the command, stopped from outside, ends with that one.

    Lightning's launcher kills rank 0, which is still writing, where another process ends with any status but 0.
    """
    return 0 if started_by_lightning() else of_command


def launcher_pid() -> int:
    """The process that started this one; it may be gone. Lightning's launcher is rank 0."""
    return int(os.environ.get(STARTED_BY, PARENT)) if started_by_lightning() else PARENT


def _exit_with_launcher(folder: str) -> None:
    """Ends this process where its launcher was killed: it would wait for the others in C, for half an hour."""
    expected = launcher_pid() if started_by_lightning() else os.getppid()
    while os.getppid() == expected:
        time.sleep(POLL)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def prepare_launch(trainer: Trainer) -> None:
    """No signal is lost on the processes that the trainer starts, and `src.runtime.signals` alone handles signals."""
    from src.runtime.lightning_internals import leave_signals_alone, start_processes_inside

    leave_signals_alone(trainer)
    if start_processes_inside(trainer, blocked_signals) and is_rank_zero():
        os.environ[STARTED_BY] = str(os.getpid())


def command_is_ending() -> bool:
    """Whether the whole command is ending, for a process that failed: then another one has said why.

    Waits for the launcher, which ends the remaining processes of a command where one of them has failed.
    """
    if is_rank_zero():
        return False
    until = time.monotonic() + GRACE
    while os.getppid() == launcher_pid():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True  # checked first and last: a busy machine can take all of the time between two lines


def is_lost_peer(error: BaseException) -> bool:
    """Whether the error only says that another process is gone."""
    if not isinstance(error, RuntimeError):
        return False
    from torch import distributed

    return distributed.is_initialized() and (isinstance(error, distributed.DistError) or "gloo" in str(error))
