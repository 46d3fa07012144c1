"""Entry points: Hydra composes, and whatever is wrong with the input becomes one line and exit status 2."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.config.overrides import check_overrides, composed, explained
from src.config.targets import CONF, check_words
from src.runs import resume
from src.runtime import gpu_slots, launch
from src.runtime.allocator import keep_freed_memory
from src.runtime.quiet import quiet_libraries
from src.runtime.signals import SAVED_BEFORE, SIGNALS
from src.sweeps import stopping
from src.sweeps.cells import claimed_cell
from src.utils.errors import InputError, Preempted, TrialPruned, UserError, is_interrupt

log = logging.getLogger(__name__)

sys.path.append(str(Path(__file__).parent / "plugins"))  # where Hydra finds ours
# Errors of the user's making; anything else is ours and keeps its traceback.
EXPECTED = (UserError, HydraException, OmegaConfBaseException, OSError)

# Entry points that know what to do as one of several processes.
SEVERAL = ("train",)
# Entry points whose command, typed again, goes on where it broke off, in the same run directory.
RESUMABLE = ("train",)
# What an interrupted command leaves, where that is no training.
KEPT = dict.fromkeys(("harvest", "index"), "the same command goes on where this one stopped")


def run(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Runs `task` under Hydra with conf/<config_name>.yaml and the command line's overrides."""
    # Processes that Lightning started inherit what is set in the next line.
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1" and launch.is_rank_zero()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits before the error can be put in one line
    quiet_libraries()
    if not launch.is_rank_zero():
        sys.argv += launch.silence_secondary_rank()

    failed: list[BaseException] = []
    words = sys.argv[1:]

    def reporting(cfg: DictConfig) -> Any:
        job = HydraConfig.get()
        swept = job.mode == RunMode.MULTIRUN
        if swept:
            quiet_libraries()  # a launcher may have started this process
            if gpu := gpu_slots.claim_gpu(job.launcher):
                log.info("GPU %s of this machine is this process's", gpu)
        log.info(keep_freed_memory())
        # Said here and not raised: Hydra would add lines of its own, and a sweep goes on with its next job.
        try:
            with stopping.job(swept), claimed_cell(Path(job.runtime.output_dir)) if swept else nullcontext():
                return task(cfg)
        except stopping.Stopped:
            return None
        except TrialPruned as stop:
            print(f"pruned: {stop}", flush=True)
        except expected() as error:
            if wants_traceback:
                raise
            failed.append(error)
            _say(error, config_name)
        except Exception as error:
            # One process's end is everybody's: only the one that it began with has something to say.
            if launch.is_lost_peer(error) or launch.command_is_ending():
                sys.exit(1)
            if swept:  # the sweep goes on, and says at its end no more than why
                log.exception("this job failed")
            raise

    try:
        started = launch.ExternalLaunch.detect()
        if config_name not in SEVERAL and started and started.processes > 1:
            raise InputError(f"src.{config_name} is one process on one device: start it without torchrun or srun")
        check_words(words)
        asked = {"--help", "-h"} & set(words)  # beside which beginnings of keys may stand
        read = [word for word in words if not asked or "=" in word or word[:1] == "-"]
        sys.argv[1:] = check_overrides(read, config_name)
        if asked:
            show(help_text(config_name, words))
            return
        if config_name in RESUMABLE and launch.is_rank_zero():
            sys.argv += resume.overrides(sys.argv[1:], lambda: composed(config_name, sys.argv[1:]))
        with hearing() if config_name in RESUMABLE else nullcontext():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(reporting)()
    except expected() as error:
        if wants_traceback:
            raise
        failed.append(error)
        _say(error, config_name)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not is_interrupt(stop):
            raise
        if isinstance(stop, Preempted):
            sys.exit(given_back(stop))
        if launch.is_rank_zero():
            kept = KEPT.get(
                config_name, "what was finished is kept, with the last checkpoint; the same command goes on"
            )
            print(f"interrupted: {kept}", file=sys.stderr)
        sys.exit(launch.exit_status(130))
    if failed:
        sys.exit(2)


def show(text: str) -> None:
    """Prints it; a reader such as `head` may have had enough before its end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = None  # or python says at its end that it cannot flush


@contextmanager
def hearing() -> Iterator[None]:
    """Inside, whoever takes the machine back is heard, also while the main thread waits in C."""

    def exit_preempted() -> None:
        os._exit(given_back(Preempted(SIGNALS.received, SAVED_BEFORE)))

    with SIGNALS.installed(), SIGNALS.call_on_forced_exit(exit_preempted):
        yield


def given_back(stop: Preempted) -> int:
    """Says so; the exit status."""
    if launch.is_rank_zero():
        print(f"{stop.message}; the same command goes on", file=sys.stderr, flush=True)
    return launch.exit_status(stop.STATUS)


def imported(module: str) -> Callable[[DictConfig], Any]:
    """The module's `main`, which is not imported before there is a job to run."""

    def task(cfg: DictConfig) -> Any:
        with SIGNALS.deferred_during_import():
            main = importlib.import_module(module).main
        quiet_libraries()  # Lightning sets the level of its messages when it is imported
        return main(cfg)

    return task


def expected() -> tuple[type[BaseException], ...]:
    """The errors of the user's making; Lightning's only where it is there, since to import it takes seconds."""
    lightning = sys.modules.get("lightning.fabric.utilities.exceptions")
    return (*EXPECTED, lightning.MisconfigurationException) if lightning else EXPECTED


def _say(error: BaseException, config_name: str) -> None:
    if not launch.command_is_ending():
        who = "" if launch.is_rank_zero() else f"process {launch.process_rank()}: "
        print(f"error: {who}{one_line(error, config_name)}", file=sys.stderr, flush=True)


def one_line(error: BaseException, config_name: str) -> str:
    """The error in one line, with the nearest valid name where the command line has a name that does not exist."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__  # Hydra wraps what a constructor raises
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, UserError):
        return " ".join(lines)
    message = lines[0].rstrip(".")
    if isinstance(error, HydraException | OmegaConfBaseException):
        key = getattr(error, "full_key", None)
        return explained(sys.argv[1:], config_name) or (f"{key}: {message}" if key else message)
    return f"{message}; is the path right and writable?" if isinstance(error, OSError) else message


def help_text(config_name: str, words: Sequence[str]) -> str:
    """What `--help` prints beside overrides and beginnings of keys. Raises what composing the overrides raises."""
    from src.config.help import text  # the libraries behind the types take seconds to import

    words = [word for word in words if not word.startswith("-")]

    cfg = composed(config_name, [word for word in words if "=" in word], hydra=True)
    choices = {
        group: chosen
        for group, chosen in cfg.hydra.runtime.choices.items()
        if (CONF / group).is_dir() and "/" not in group
    }
    HydraConfig.instance().set_config(cfg)  # some values name what was chosen
    with open_dict(cfg):
        del cfg["hydra"]
    return text(config_name, cfg, choices, only=[word for word in words if "=" not in word])
