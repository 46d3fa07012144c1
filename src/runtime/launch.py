"""One command as several processes: which of them this is, what the first of them does alone, and how all end.

Lightning's own launcher (`trainer.devices=2`) starts the others when the training starts, by the same command; torchrun
and SLURM start all of them at once. All run the same entry point and make the same objects. The first one prints and
writes the run directory; what the others write goes to a folder that is thrown away.

torch and Lightning are imported where they are used: a sweep that has nothing to run is over before they would be.
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
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.runtime.signals import held
from src.utils.errors import InputError, first_line, nearest

PARENT = os.getppid()
STARTED_BY = "SOFT_INFONCE_STARTED_BY"  # the process whose command Lightning types again for the others
ALIVE = 0.1  # seconds after which a process that is not the first looks whether its launcher is there
GRACE = 5.0  # seconds in which a launcher ends the processes that are left; torchrun looks ten times a second
# What tells a library that it is one of several processes.
KEYS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK")
PREFIXES = ("TORCHELASTIC_", "SLURM_")


def number() -> int:
    """Which of the processes of a command this is, from 0, as its launcher says."""
    return next((int(os.environ[key]) for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if key in os.environ), 0)


def is_first() -> bool:
    """Whether this is the process that prints and writes."""
    return number() == 0


@dataclass(frozen=True)
class Launch:
    """What torchrun or SLURM started."""

    by: str
    per_node: int
    nodes: int

    @property
    def processes(self) -> int:
        return self.per_node * self.nodes

    @classmethod
    def found(cls) -> Launch | None:
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


def settle(cfg: DictConfig) -> int:
    """The number of devices; `trainer.devices` and `num_nodes` are set to what torchrun or SLURM started if left open.

    Raises InputError where they contradict each other, or where the devices cannot share a batch evenly.
    """
    from lightning.pytorch.strategies import ParallelStrategy
    from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
    from torch import distributed

    trainer, launch = cfg.trainer, Launch.found()
    if launch is not None:
        if trainer.devices == "auto":
            trainer.devices = launch.per_node
        if trainer.num_nodes == 1:
            trainer.num_nodes = launch.nodes
    probe = probed(trainer)
    world = probe.num_devices * probe.num_nodes
    if launch is not None and launch.processes != world:
        raise InputError(
            f"{launch.by} started {launch.nodes} x {launch.per_node} processes, found trainer.num_nodes="
            f"{trainer.num_nodes} x trainer.devices={trainer.devices}: add trainer=ddp, which takes what was started"
        )
    if launch is None and isinstance(probe.strategy, ParallelStrategy):
        try:
            probe.strategy.cluster_environment.validate_settings(probe.num_devices, probe.num_nodes)
        except ValueError as error:
            raise InputError(f"in a job of SLURM, start the processes with srun ({error})") from error
    if isinstance(probe.strategy.launcher, _MultiProcessingLauncher):
        raise InputError(
            f"trainer.strategy={trainer.strategy!r} forks this process, and what its copies found would be lost: "
            "take trainer.strategy=ddp"
        )
    if distributed.is_initialized() and world not in (1, joined := distributed.get_world_size()):
        raise InputError(
            f"the jobs of a sweep have the devices that its first one had: expected {joined}, found {world}; start one "
            "sweep for each number of devices"
        )
    if cfg.data.batch_size % world:
        below = cfg.data.batch_size - cfg.data.batch_size % world
        near = [size for size in (below, below + world) if size]
        raise InputError(
            f"data.batch_size is the pairs of a step on all devices together: expected a multiple of the {world} "
            f"devices, found {cfg.data.batch_size}; set data.batch_size={' or '.join(map(str, near))}"
        )
    if "data_parallel_size" in (OmegaConf.select(trainer, "strategy") or ()):
        trainer.strategy.data_parallel_size = world
    return world


def probed(trainer: DictConfig) -> Any:
    """The Trainer of conf/trainer, to ask what it is. Raises InputError, with the key, where Lightning refuses it."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.accelerators import AcceleratorRegistry
    from lightning.pytorch.strategies import StrategyRegistry

    registries = {"strategy": StrategyRegistry.available_strategies(), "accelerator": AcceleratorRegistry}
    try:
        return instantiate(trainer, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    except (InstantiationException, MisconfigurationException, TypeError, ValueError) as error:
        while isinstance(error, InstantiationException) and error.__cause__ is not None:
            error = error.__cause__
        said = first_line(error).split(". ")[0].rstrip(".")
        raise InputError(_refused(trainer, said, registries)) from error


def _refused(trainer: DictConfig, said: str, registries: Mapping[str, Collection[str]]) -> str:
    """What Lightning said of conf/trainer, with the key that it is about and what to set instead."""
    if "devices" in said and "requested" not in said and "strategy" not in said:
        return (
            f"trainer.devices={trainer.get('devices')}: expected a number of devices of 1 or more, a list of their "
            f"numbers or auto ({said})"
        )
    named = [key for key in trainer if re.search(rf"\b{key}\b", said)]
    key = next(iter(named), "accelerator" if "backend" in said or "Requirement" in said else "")
    value = trainer.get(key) if key else None
    hint = ""
    if isinstance(value, str) and key in registries:
        known = [*registries[key], "auto", "gpu"]
        hint = "; auto takes what this machine has" if value in known else nearest(value, known)
    return f"trainer.{key}={value!r}: {said}{hint}" if key else f"trainer: {said}"


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process is nobody's part: what it trains it trains on one device, and it prints."""
    from lightning.pytorch.utilities import rank_zero_only

    hidden = {key: value for key, value in os.environ.items() if key in KEYS or key.startswith(PREFIXES)}
    before = rank_zero_only.rank
    for key in hidden:
        del os.environ[key]
    rank_zero_only.rank = 0
    try:
        with redirect_stdout(sys.__stdout__ if sys.stdout in _SILENCED else sys.stdout), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The `srun` command is available")  # and hidden from Lightning
            yield
    finally:
        os.environ.update(hidden)
        rank_zero_only.rank = before


_SILENCED: list = []  # the standard output of a process that is not the first


def stay_behind() -> list[str]:
    """Silences a process that is not the first; returns the overrides that send its run directory to nowhere."""
    nowhere = tempfile.mkdtemp(prefix="process-")
    atexit.register(shutil.rmtree, nowhere, ignore_errors=True)
    _SILENCED.append(open(os.devnull, "w"))  # noqa: SIM115 (as long as the process lives)
    sys.stdout = _SILENCED[-1]
    warnings.simplefilter("ignore")  # the first says them
    threading.Thread(target=_end_with_launcher, args=(nowhere,), daemon=True, name="launcher").start()
    return [f"hydra.run.dir={nowhere}", f"hydra.sweep.dir={nowhere}"]


def is_lightnings() -> bool:
    """Whether Lightning's launcher started this process."""
    return not is_first() and Launch.found() is None


def status(of_command: int) -> int:
    """The exit status of this process where the command, stopped from outside, ends with that one.

    Lightning's launcher kills the first process, which is still writing, where another ends with any but 0.
    """
    return 0 if is_lightnings() else of_command


def launcher() -> int:
    """The process that started this one; it may be gone."""
    return int(os.environ.get(STARTED_BY, PARENT)) if is_lightnings() else PARENT


def _end_with_launcher(nowhere: str) -> None:
    """Ends this process where its launcher was killed: it would wait for the others in C, for half an hour."""
    expected = launcher() if is_lightnings() else os.getppid()
    while os.getppid() == expected:
        time.sleep(ALIVE)
    shutil.rmtree(nowhere, ignore_errors=True)
    os._exit(1)


def prepare_launch(trainer: Any) -> None:
    """The trainer starts its processes so that no signal is lost on them, and leaves signals to `src.runtime.signals`.

    Lightning's own handlers, of SIGTERM above all, exchange tensors in the middle of whatever the process does.
    """
    from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

    trainer._signal_connector.register_signal_handlers = lambda: None
    if isinstance(own := trainer.strategy.launcher, _SubprocessScriptLauncher):
        start = own._call_children_scripts

        def start_held() -> None:
            with held():
                start()

        own._call_children_scripts = start_held
        if is_first():
            os.environ[STARTED_BY] = str(os.getpid())


def is_over() -> bool:
    """Whether the whole command is ending, asked by a process that failed: then another one has said why.

    Waits for the launcher, which ends what is left of a command where one process has failed.
    """
    if is_first():
        return False
    until = time.monotonic() + GRACE
    while os.getppid() == launcher():  # Lightning's is the first process
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True  # asked first and last: a busy machine can take all of the time between two lines


def lost_another(error: BaseException) -> bool:
    """Whether the error says no more than that another process is gone."""
    if not isinstance(error, RuntimeError):
        return False
    from torch import distributed

    if not distributed.is_initialized():
        return False
    return isinstance(error, distributed.DistError) or "gloo" in str(error)
