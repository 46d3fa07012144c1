"""Runs commands under Hydra: an error in the input becomes one line and exit status 2."""

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
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from src.config.compose import compose_config, explain_refusal
from src.config.overrides import check_overrides
from src.config.targets import CONF, check_typed_targets
from src.runs import resume
from src.runtime import gpu_slots, launch
from src.runtime.allocator import keep_freed_memory
from src.runtime.quiet import quiet_libraries
from src.runtime.signals import SAVED_BEFORE, SIGNALS
from src.sweeps import stopping
from src.sweeps.cells import claimed_cell
from src.utils.errors import InputError, Preempted, TrialPruned, UserError, is_interrupt, message_of

log = logging.getLogger(__name__)

sys.path.append(str(Path(__file__).parent / "plugins"))  # where Hydra finds ours
# Errors that need no traceback; any other is a mistake of the code.
EXPECTED = (UserError, HydraException, OmegaConfBaseException, OSError)
TRAINING = "train"  # the command that may run as several processes, and resumes in its run directory when typed again
KEPT = "what was finished is kept, with the last checkpoint; the same command resumes it"
KEPT_BY = dict.fromkeys(("harvest", "index"), "the same command resumes where this one stopped")


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

    def fail(error: BaseException) -> None:
        if wants_traceback:
            raise error
        failed.append(error)
        if not launch.command_is_ending():  # else another process has said why
            process = "" if launch.is_rank_zero() else f"process {launch.process_rank()}: "
            print(f"error: {process}{describe_error(error, config_name)}", file=sys.stderr, flush=True)

    def run_job(cfg: DictConfig) -> Any:
        job = HydraConfig.get()
        swept = job.mode == RunMode.MULTIRUN
        if swept:
            quiet_libraries()  # a launcher may have started this process
            if gpu := gpu_slots.claim_gpu(job.launcher):
                log.info("GPU %s of this machine is this process's", gpu)
        log.info(keep_freed_memory())
        # Printed here and not raised: Hydra would add lines of its own, and a sweep continues with its next job.
        try:
            with stopping.job(swept), claimed_cell(Path(job.runtime.output_dir)) if swept else nullcontext():
                return task(cfg)
        except stopping.Stopped:
            return None
        except TrialPruned as stop:
            print(f"pruned: {stop}", flush=True)
        except expected_errors() as error:
            fail(error)
        except Exception as error:
            # One process's end is everybody's: only the one that it began with has something to say.
            if launch.is_lost_peer(error) or launch.command_is_ending():
                sys.exit(1)
            if swept:  # the sweep continues, and says at its end no more than why
                log.exception("this job failed")
            raise

    try:
        started = launch.ExternalLaunch.detect()
        if config_name != TRAINING and started and started.processes > 1:
            raise InputError(f"src.{config_name} is one process on one device: start it without torchrun or srun")
        check_typed_targets(words)
        wants_help = bool({"--help", "-h"} & set(words))  # then words without = are beginnings of keys
        read = [word for word in words if not wants_help or "=" in word or word[:1] == "-"]
        sys.argv[1:] = check_overrides(read, config_name)
        if wants_help:
            print_to_pipe(composed_help(config_name, words))
            return
        if config_name == TRAINING and launch.is_rank_zero():
            sys.argv += resume.overrides(sys.argv[1:], lambda: compose_config(config_name, sys.argv[1:]))
        with exiting_when_preempted() if config_name == TRAINING else nullcontext():
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(run_job)()
    except expected_errors() as error:
        fail(error)
    except (KeyboardInterrupt, SystemExit) as stop:
        if not is_interrupt(stop):
            raise
        if isinstance(stop, Preempted):
            sys.exit(status_of_preemption(stop))
        if launch.is_rank_zero():
            print(f"interrupted: {KEPT_BY.get(config_name, KEPT)}", file=sys.stderr)
        sys.exit(launch.exit_status(130))
    if failed:
        sys.exit(2)


def load_main(module: str) -> Callable[[DictConfig], Any]:
    """The module's `main`, which is not imported before there is a job to run."""

    def task(cfg: DictConfig) -> Any:
        with SIGNALS.deferred_during_import():
            main = importlib.import_module(module).main
        quiet_libraries()  # Lightning sets the level of its messages when it is imported
        return main(cfg)

    return task


@contextmanager
def exiting_when_preempted() -> Iterator[None]:
    """Inside, a scheduler's signal ends the process in time, also while the main thread waits in C code."""

    def exit_preempted() -> None:
        assert SIGNALS.received is not None  # it is why this is called
        os._exit(status_of_preemption(Preempted(SIGNALS.received, SAVED_BEFORE)))

    with SIGNALS.installed(), SIGNALS.call_on_forced_exit(exit_preempted):
        yield


def status_of_preemption(stop: Preempted) -> int:
    """Prints what was saved, and returns the exit status."""
    if launch.is_rank_zero():
        print(f"{stop.message}; the same command resumes it", file=sys.stderr, flush=True)
    return launch.exit_status(stop.STATUS)


def composed_help(config_name: str, words: Sequence[str]) -> str:
    """What `--help` prints with overrides and beginnings of keys. Raises what composing the overrides raises."""
    from src.config.help import help_text  # the libraries behind the types take seconds to import

    words = [word for word in words if not word.startswith("-")]
    cfg = compose_config(config_name, [word for word in words if "=" in word], with_hydra=True)
    options = {
        group: chosen
        for group, chosen in cfg.hydra.runtime.choices.items()
        if (CONF / group).is_dir() and "/" not in group
    }
    HydraConfig.instance().set_config(cfg)  # some values name what was chosen
    with open_dict(cfg):
        del cfg["hydra"]
    return help_text(config_name, plain_values(cfg), options, only=[word for word in words if "=" not in word])


def plain_values(cfg: DictConfig) -> dict[str, Any]:
    """Resolved; what refers to a key that the command does not have stays as it is written."""
    plain: dict[str, Any] = {}
    for key in map(str, cfg):
        try:
            value = cfg[key]
        except OmegaConfBaseException:
            unresolved: Any = OmegaConf.to_container(cfg, resolve=False)
            value = unresolved[key]
        plain[key] = plain_values(value) if isinstance(value, DictConfig) else value
        if OmegaConf.is_list(value):
            plain[key] = OmegaConf.to_container(value, resolve=True)
    return plain


def print_to_pipe(text: str) -> None:
    """Prints it; a reader such as `head` may close the pipe before its end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = None  # or python says at its end that it cannot flush


def describe_error(error: BaseException, config_name: str) -> str:
    """The error in one line, with the nearest valid name where the command line has a name that does not exist."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__  # Hydra wraps what a constructor raises
    message = message_of(error)
    if isinstance(error, HydraException | OmegaConfBaseException):
        key = getattr(error, "full_key", None)
        return explain_refusal(sys.argv[1:], config_name) or (f"{key}: {message}" if key else message)
    return message


def expected_errors() -> tuple[type[BaseException], ...]:
    """The errors that need no traceback; Lightning's only where it is loaded, since to import it takes seconds."""
    lightning = sys.modules.get("lightning.fabric.utilities.exceptions")
    return (*EXPECTED, lightning.MisconfigurationException) if lightning else EXPECTED
