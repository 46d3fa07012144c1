"""Resuming: in which run directory and from which checkpoint the same command continues (docs/faults.md).

Two configurations are the same where all that decides a result is; see `src.runs.identity.result_config`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from src.runs.directory import claim, relative, release, revision
from src.runs.identity import identity, recorded
from src.utils.errors import InputError, ResourceError
from src.utils.files import read_json, remove_parts

if TYPE_CHECKING:
    from lightning import Trainer

AUTO, NEVER = "auto", "never"
DONE = ("finished", "pruned")
OUTPUTS = Path("outputs")
RESUME_FROM = "SOFT_INFONCE_RESUME_FROM"  # what the processes that Lightning starts inherit


@dataclass(frozen=True)
class Attempt:
    """Whether a run begins or is resumed."""

    is_resumed: bool = False
    checkpoint: Path | None = None  # of its training; None where it stopped before the first
    number: int = 1  # which attempt this is

    def environment_file(self, folder: Path, data: Mapping[str, Any]) -> str:
        """The name of the file for what this attempt depends on in addition to the configuration.

        Raises InputError where the run began with other data: it would be a run of neither.
        """
        began = read_json(folder / "environment.json") if self.is_resumed else {}
        if not began:
            return "environment.json"
        if any(began.get(key) != value for key, value in data.items()):
            raise InputError(
                f"{relative(folder)} began with other data (its environment.json has the fingerprints): "
                "resume=never starts a new run"
            )
        return f"environment.{self.number}.json"

    def of(self, folder: Path) -> Path | None:
        """The checkpoint of another training of the run, in a folder of its own."""
        return good(folder)[0] if self.is_resumed else None


def overrides(arguments: Sequence[str], compose: Callable[[], DictConfig]) -> list[str]:
    """The override that gives Hydra the directory of the run that is resumed, which is then claimed.

    Raises InputError where `resume=` names what is not there, or what another process has, and where `hydra.run.dir=`
    names the directory of a finished run.
    """
    given = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    named = given.get("resume", AUTO).strip("'\"")
    if named == NEVER or any(argument.startswith("-") for argument in arguments):  # a sweep, or such as --help
        return []
    if named == AUTO and "hydra.run.dir" in given:
        _keep_finished(Path(given["hydra.run.dir"].strip("'\"")))  # here, before Hydra writes its own files there
        return []
    if named != AUTO:
        folder = _folder(Path(named))
        if not claim(folder):
            raise ResourceError(f"resume={named}: another process is at work in {folder}; nothing of it was touched")
        return [f"hydra.run.dir='{folder}'"]
    try:
        wanted = identity(compose())
    except Exception:  # whatever is wrong with the command line, Hydra says it better
        return []
    for folder in candidates(wanted):
        if claim(folder):
            if recorded(folder).get("status") not in DONE:  # by another process, a moment ago
                return [f"hydra.run.dir='{folder}'"]
            release(folder)
    return []


def candidates(wanted: str) -> list[Path]:
    """Run directories of this identity that have not finished, the latest first."""
    found = []
    for path in OUTPUTS.glob("*/*/status.json"):
        status = recorded(path.parent)
        if status.get("identity") != wanted or status.get("status") in DONE:
            continue
        if status.get("status") == "failed" and good(path.parent)[0] is None:
            continue  # it would fail again, and its directory says why
        found.append((path.stat().st_mtime, path.parent))
    return [folder for _, folder in sorted(found, reverse=True)]


def attempt(cfg: DictConfig, folder: Path, swept: bool = False) -> Attempt:
    """Whether the run in `folder`, a cell of a sweep if `swept`, begins or is resumed, which is printed in one line.

    Raises InputError where the folder holds a finished run, or an unfinished one of another configuration, or `resume=`
    names a run that has finished.
    """
    named = str(cfg.get("resume", AUTO))
    before = recorded(folder)
    if named == NEVER:
        return Attempt()
    if before.get("status") in DONE:
        if named != AUTO:
            raise InputError(f"resume={named} has finished: leave resume out to begin a new run")
        if swept:
            return Attempt()  # that it runs again was asked for, by sweep.rerun
        _keep_finished(folder)
    checkpoint, damaged = good(folder)
    if before.get("identity") != identity(cfg):
        if checkpoint is None:
            return Attempt()
        raise InputError(
            f"{relative(folder)} holds an unfinished run of another configuration (its config.yaml has it): type the "
            "command that began it, choose another hydra.run.dir, or set resume=never to write over it"
        )
    if named not in (AUTO, str(folder)) and Path(named).is_file():
        checkpoint, damaged = Path(named), []
    remove_parts(folder)
    for line in damaged:
        print(line, flush=True)
    print(f"resume: {relative(folder)} continues {_where(checkpoint)}{_other_code(folder)}", flush=True)
    return Attempt(True, checkpoint, before.get("attempts", 1) + 1)


def good(folder: Path) -> tuple[Path | None, list[str]]:
    """The latest whole checkpoint of a run directory's training, and what is to be said of those that are damaged."""
    from src.runs import checkpoint_file  # here, since a sweep may have nothing to run

    last = folder / "checkpoints" / "last.ckpt"
    damaged: list[str] = []
    for path in (last, checkpoint_file.previous(last)):
        if not path.exists():
            continue
        try:
            checkpoint_file.check(path)
            return path, damaged
        except checkpoint_file.DamagedError as error:
            damaged.append(f"{relative(path)} is damaged: {error}; the one before it is used")
    return None, damaged


def agreed(trainer: Trainer, checkpoint: Path | None) -> Path | None:
    """The first process's checkpoint, in every process of the trainer."""
    if trainer.world_size == 1:
        return checkpoint
    from torch import distributed as dist  # here, since a sweep may have nothing to run

    said = str(checkpoint or "")
    if not dist.is_initialized():
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if trainer.is_global_zero and environment and not environment.creates_processes_externally:
            os.environ[RESUME_FROM] = said  # Lightning is about to start the others
            return checkpoint
        if RESUME_FROM in os.environ:  # one of those
            return Path(os.environ[RESUME_FROM]) if os.environ[RESUME_FROM] else None
        trainer.strategy.setup_environment()
    said = trainer.strategy.broadcast(said)
    return Path(said) if said else None


def _keep_finished(folder: Path) -> None:
    """Raises InputError where a run would be written over a finished one."""
    if recorded(folder).get("status") in DONE:
        raise InputError(
            f"{relative(folder)} holds a finished run: choose another hydra.run.dir, or write over it with resume=never"
        )


def _folder(named: Path) -> Path:
    """The run directory that `resume=` names."""
    folder = named.parent.parent if named.is_file() else named
    if not (folder / "status.json").is_file():
        raise InputError(
            f"resume={named}: expected auto, never, a run directory (it holds status.json) or a checkpoint in one; "
            f"found {'none there' if named.exists() else 'nothing there'}"
        )
    return folder


def _other_code(folder: Path) -> str:
    """What is to be said where the run began with another revision of the code."""
    began, now = read_json(folder / "environment.json").get("git", {}).get("revision"), revision()
    return f"; the code was {began[:7]} and is {now[:7]} now" if began and now and began != now else ""


def _where(checkpoint: Path | None) -> str:
    if checkpoint is None:
        return "from its beginning, since it stopped before its first checkpoint"
    from src.runs import checkpoint_file  # here, since a sweep may have nothing to run

    try:
        held = checkpoint_file.read(checkpoint)
    except checkpoint_file.DamagedError as error:
        raise InputError(f"checkpoint {checkpoint} cannot be used: {error}") from error
    if "loops" not in held:
        raise InputError(f"checkpoint {checkpoint} holds weights alone: start from them with checkpoint={checkpoint}")
    return f"after step {held['global_step']:,}, in epoch {held['epoch'] + 1} ({checkpoint.name})"
