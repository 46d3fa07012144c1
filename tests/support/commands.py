"""Runs commands as a user types them, but inside the test's process, so that imports happen only once."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra

from src import cli
from src.config import direct_cli

QUICK = ("logger=csv", "trainer.accelerator=cpu", "data.num_workers=0", "compare_infonce=false")


@dataclass(frozen=True)
class Result:
    """Exit status and output of a command, and its run directory."""

    status: int
    output: str
    errors: str
    run: Path


def run_command(name: str, folder: Path, *overrides: str) -> Result:
    """`python -m src.<name> <overrides>` with its run directory at `folder`."""
    entry = importlib.import_module(f"src.{name}")
    output, errors, status = io.StringIO(), io.StringIO(), 0
    directory = () if "-m" in overrides else (f"hydra.run.dir={folder}",)
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR"), logging.root.handlers[:], logging.root.level
    sys.argv = [f"{name}.py", *overrides, *directory]
    GlobalHydra.instance().clear()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            cli.run(entry.main, name)
    except SystemExit as stop:
        status = stop.code
    finally:
        sys.argv = before[0]
        for handler in logging.root.handlers:
            if handler not in before[2]:
                handler.close()
        logging.root.handlers[:], logging.root.level = before[2], before[3]
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if before[1] is not None:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
    return Result(status, output.getvalue(), errors.getvalue(), folder)


def direct(name: str) -> Callable[[Sequence[str]], int]:
    """words -> status of `python -m src.<name> <words>`, a command that starts without Hydra."""
    entry = importlib.import_module(f"src.{name}.__main__" if name in ("report", "bench") else f"src.{name}")

    def run(words: Sequence[str]) -> int:
        before, sys.argv = sys.argv, [f"{name}.py", *words]
        try:
            direct_cli.run(entry.main, name)
        except SystemExit as stop:
            return stop.code
        finally:
            sys.argv = before
        return 0

    return run


def run_direct(name: str, *words: str) -> tuple[int, str, str]:
    """Status, output and errors of `python -m src.<name> <words>`, a command that is not Hydra's."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = direct(name)(words)
    return status, output.getvalue(), errors.getvalue()


def trained(folder: Path, root: Path, *overrides: str) -> Result:
    """A finished run at `folder`: one epoch on the corpus of `tests.support.doubles.write_corpus` at `root`."""
    options = (*QUICK, "corpus=codesearchnet", f"corpus.root={root}", "data.batch_size=16", "trainer.max_epochs=1")
    result = run_command("train", folder, *options, *overrides)
    assert result.status == 0, result.errors
    return result
