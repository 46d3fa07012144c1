"""A stand-in for training; the command line, Hydra, the sweeper and the run directories are the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from src.runs.directory import RunDirectory
from src.utils.errors import InputError
from tests.support.commands import Result, run_command

TWELVE = ("loss=infonce,soft_infonce,bce", "seed=1,2,3,4")


class Sweep:
    """A sweep whose jobs write a line and `metrics.json`, and then do what `behave(seed, loss)` does."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "sweeps"
        self.log = folder / "executed"
        self.behave: Callable[[int, str], None] = nothing  # other processes read it by its name

    def job(self, cfg) -> None:
        run = RunDirectory(HydraConfig.get().runtime.output_dir)
        with run.recording():
            with self.log.open("a") as file:
                file.write(f"{run.path.name}\n")
            self.behave(cfg.seed, cfg.loss["_target_"].rsplit(".", 1)[-1])
            run.write_metrics({"val/mrr": 0.5})

    def type(self, *overrides: str) -> Result:
        return run_command("train", self.root, "-m", f"hydra.sweeper.root={self.root}", *overrides)

    def executed(self) -> list[str]:
        """The jobs that began since it was last asked."""
        names = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return names

    def states(self) -> dict[str, str]:
        paths = self.root.glob("*/*/status.json")
        return {path.parent.name: json.loads(path.read_text())["status"] for path in paths}

    def files(self, *states: str) -> dict[Path, tuple]:
        """Every file of the cells that are in such a state, and what changes where one is written again."""
        found = {}
        for path in self.root.glob("*/*/status.json"):
            if json.loads(path.read_text())["status"] in states:
                for file in path.parent.rglob("*"):
                    stat = file.stat()
                    found[file] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        return found


def nothing(seed: int, loss: str) -> None:
    pass


def fail_for_seed_2(seed: int, loss: str) -> None:
    if seed == 2:
        raise InputError("no seed 2")
