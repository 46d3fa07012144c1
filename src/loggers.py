"""Weights & Biases that never prompts, never hangs and never ends a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from src.errors import InputError, nearest
from src.rundir import relative

MODES = ("auto", "online", "offline")
INIT_TIMEOUT = 20.0  # seconds until an unreachable server counts as absent
FINISH_TIMEOUT = 60.0  # seconds that the last upload may take


class ForgivingWandbLogger(WandbLogger):
    """A WandbLogger whose failures cost the dashboard, not the run.

    Args:
        save_dir: the run directory; W&B's own files go below it.
        mode: `auto` is online where a key is found and offline elsewhere; WANDB_MODE overrides it.
        project, entity, name, group, tags, config: as in `wandb.init`.
    """

    def __init__(
        self,
        save_dir: str | Path,
        mode: Literal["auto", "online", "offline"] = "auto",
        **init: Annotated[Any, wandb.init],
    ) -> None:
        if mode not in MODES:
            raise InputError(
                f"logger.wandb.mode must be one of {', '.join(MODES)}, found {mode!r}" + nearest(mode, MODES)
            )
        self._lost = False
        run = _start(Path(save_dir), os.environ.get("WANDB_MODE") or mode, init)
        super().__init__(save_dir=str(save_dir), experiment=run)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._try(super().log_metrics, metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        self._try(super().log_hyperparams, params)

    @rank_zero_only
    def log_histogram(self, name: str, values: torch.Tensor, step: int) -> None:
        """One histogram of `values` at a training step."""
        histogram = wandb.Histogram(np_histogram=np.histogram(values.float().cpu().numpy(), bins=32))
        self._try(super().log_metrics, {name: histogram}, step)

    @rank_zero_only
    def finish(self, summary: Mapping[str, float]) -> None:
        """Writes the final numbers into the run's summary and closes the run."""
        self._try(self.experiment.summary.update, dict(summary))
        self._try(self.experiment.finish)

    def _try(self, call: Callable, *args: Any) -> None:
        if self._lost:
            return
        try:
            call(*args)
        except Exception as error:  # whatever the network or the client does, the run goes on
            self._lost = True
            _say(f"logging stopped ({_first_line(error)}); training goes on, metrics.csv is complete")


def _start(folder: Path, mode: str, init: dict[str, Any]) -> Any:
    """A wandb run: online, else offline, else disabled."""
    os.environ.setdefault("WANDB_SILENT", "true")  # what matters is said here, in one line
    if mode == "auto":
        mode = "online" if _has_key() else "offline"
    settings = wandb.Settings(
        silent=True, init_timeout=INIT_TIMEOUT, finish_timeout=FINISH_TIMEOUT, console="off", disable_git=True
    )
    for attempt in dict.fromkeys((mode, "offline", "disabled")):
        try:
            run = wandb.init(dir=str(folder), mode=attempt, settings=settings, reinit="finish_previous", **init)
            run.define_metric("trainer/global_step")
            run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        except Exception as error:  # unreachable, refused, unauthorised, a full disk: all cost the dashboard only
            _say(f"{attempt} logging did not start ({_first_line(error)})")
            continue
        if attempt == "online":
            _say(f"logging to {run.url}")
        elif attempt == "offline":
            _say(f"logging offline; to upload: wandb sync {relative(Path(run.dir).parent)}")
        return run
    raise RuntimeError("wandb.init(mode='disabled') failed: the wandb package is broken")


def _has_key() -> bool:
    try:
        return wandb.login(prompt=False, verify=False)
    except Exception:  # a malformed key or settings file is no key
        return False


def _say(message: str) -> None:
    print(f"W&B: {message}", flush=True)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
