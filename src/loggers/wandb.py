"""Weights & Biases that never prompts, never hangs and never ends a run."""

import os
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from src.config.types import Positive
from src.loggers.server_probe import ServerProbe, has_key
from src.runs.directory import relative
from src.utils.errors import first_line

ID = "wandb_id.txt"  # of the W&B run, in the run directory
# Shares of `timeout`: for the server to answer at all, when a run starts and when it ends, and for the last upload.
AT_START, AT_END, LAST_UPLOAD = 0.5, 0.2, 0.5
ARTIFACT_SECONDS = 600  # for the upload of an artifact that has begun
STEP = "trainer/global_step"
# How a metric's history is summarised in the table of runs; all others by their last value.
SUMMARIES: dict[str, Literal["max", "min", "last"]] = {"val/mrr": "max", "train/loss": "min", "test/*": "last"}

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]  # columns, rows


class FaultTolerantWandbLogger(WandbLogger):
    """A WandbLogger whose failures cost the dashboard, not the run, and nothing that a later `wandb sync` cannot bring.

    Args:
        save_dir: the run directory, for W&B's own files and the id of its run, which a resumed run continues.
        mode: `auto` is online where a key is found and offline elsewhere; WANDB_MODE overrides it.
        timeout: seconds to wait for a server that hangs: half of them at the start, and half at the end for the last
            upload.
        artifacts: what is uploaded at the end in addition to numbers and tables: `checkpoint`, the best one; `pages`,
            the HTML pages in the run directory.
        project, entity, name, group, job_type, tags, config: as in `wandb.init`.
    """

    def __init__(
        self,
        save_dir: str | Path,
        mode: Literal["auto", "online", "offline"] = "auto",
        timeout: Positive = 10.0,
        artifacts: Sequence[Literal["checkpoint", "pages"]] = (),
        **init: Annotated[Any, wandb.init],
    ) -> None:
        super().__init__(save_dir=str(save_dir))
        self.tables: dict[str, Table] = {}  # written at the end, each row once
        self._folder, self._timeout, self._artifacts = Path(save_dir), timeout, artifacts
        self._init = {**init, "id": _run_id(self._folder)}
        self._lost = False
        self._checking: threading.Thread | None = None
        self._run, self._mode = self._start(os.environ.get("WANDB_MODE") or mode)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run."""
        return self._run

    @property
    def version(self) -> str:
        """The id of W&B's run."""
        return self._run.id

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
    def finalize(self, status: str) -> None:
        """Called by Lightning when a training or a test ends: checks the server while the run continues."""
        super().finalize(status)
        if status == "success" and self._mode == "online" and self._checking is None:
            self._checking = threading.Thread(target=self._check_server, daemon=True)
            self._checking.start()

    @rank_zero_only
    def finish(self, metrics: Mapping[str, float]) -> None:
        """Writes the final numbers, the tables and the artifacts, and closes the run.

        If the server has gone in the meantime, all that goes into an offline part of the same run.
        """
        online = self._mode == "online"
        if self._checking is not None:
            self._checking.join()
        if online and not self._lost:
            self._check_server()
        self._try(self._write_results, metrics)
        complete = self._close()
        if self._lost and online:
            self._run, self._mode = self._start("offline", announce=False)
            self._lost = False
            self._try(self._write_results, metrics)
            complete = self._close() and complete
        if online and (self._mode != "online" or not complete):
            _say(f"not all was uploaded; for the rest: {self._sync('--include-online ', '*run-*')}")

    def _check_server(self) -> None:
        """Closes the run if the server has gone, which takes as long as W&B's client is patient."""
        if reason := ServerProbe(AT_END * self._timeout).unavailable_reason():
            self._lose(reason)
            self._close()

    def _write_results(self, metrics: Mapping[str, float]) -> None:
        run = self.experiment
        for name, (columns, rows) in self.tables.items():
            run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})
        # The summaries of the others come from their histories.
        run.summary.update({key: value for key, value in metrics.items() if key not in SUMMARIES})
        if "checkpoint" in self._artifacts:
            self._upload("model", "checkpoints/best.ckpt", metrics)
        if "pages" in self._artifacts:
            self._upload("pages", "*.html", metrics)

    def _upload(self, kind: str, pattern: str, metrics: Mapping[str, float]) -> None:
        artifact = wandb.Artifact(f"{kind}-{self.experiment.id}", type=kind, metadata=dict(metrics))
        files = sorted(self._folder.glob(pattern))
        for file in files:
            artifact.add_file(str(file), policy="immutable", skip_cache=True)  # the run directory is copy enough
        if files:
            logged = self.experiment.log_artifact(artifact)
            if self._mode == "online":
                logged.wait(timeout=ARTIFACT_SECONDS)

    def _close(self) -> bool:
        """Closes the run; whether all that was logged has arrived."""
        try:
            self.experiment.finish()
        except Exception:  # such as an upload that takes too long: its data is on disk
            return False
        return not self._lost

    def _try(self, call: Callable, *args: Any) -> None:
        if self._lost:
            return
        try:
            call(*args)
        except Exception as error:  # whatever the network or the client does, the training continues
            self._lose(first_line(error))

    def _lose(self, reason: str) -> None:
        if not self._lost:
            self._lost = True
            _say(f"logging stopped ({reason}); the run continues, metrics.csv is complete")

    def _start(self, mode: str, announce: bool = True) -> tuple[Any, str]:
        """A W&B run and its mode: online, else offline, else disabled."""
        _silence_client()
        _stage_in(self._folder)
        if mode == "auto":
            mode = "online" if has_key() else "offline"
        early, _early_probe[0] = _early_probe[0], None
        if mode == "online":
            probe = early or ServerProbe(AT_START * self._timeout)
            if reason := probe.unavailable_reason():
                _say(f"online logging did not start ({reason})")
                mode = "offline"
        for attempt in dict.fromkeys((mode, "offline", "disabled")):
            try:
                run = self._init_run(attempt)
            except Exception as error:  # unauthorised, a full disk: all cost the dashboard only
                _say(f"{attempt} logging did not start ({first_line(error)})")
                with suppress(Exception):
                    wandb.teardown()  # its process would say that the run's id is in use
                continue
            if attempt == "online":
                _say(f"logging to {run.url}")
            elif attempt == "offline" and announce:
                _say(f"logging offline; to upload: {self._sync('', 'offline-run-*')}")
            return run, attempt
        raise RuntimeError("wandb.init(mode='disabled') failed: the wandb package is broken")

    def _init_run(self, mode: str) -> Any:
        settings = wandb.Settings(silent=True, console="off", disable_git=True, finish_timeout_raises=True)
        if mode == "online":  # an offline run waits for this machine alone, however busy it is
            settings.init_timeout, settings.finish_timeout = self._timeout, LAST_UPLOAD * self._timeout
        options: dict[str, Any] = {**self._init, "dir": str(self._folder), "mode": mode}
        run: Any = wandb.init(settings=settings, reinit="finish_previous", resume="allow", **options)
        run.define_metric(STEP, hidden=True)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        for name, summary in SUMMARIES.items():
            run.define_metric(name, step_metric=STEP, step_sync=True, summary=summary)
        return run

    def _sync(self, option: str, parts: str) -> str:
        return f"wandb sync {option}{relative(self._folder)}/wandb/{parts}"


_early_probe: list[ServerProbe | None] = [None]


def start_server_probe(mode: str = "auto", timeout: float = 10.0, **other: Any) -> None:
    """Probes the server for the next logger of these arguments, while its run is prepared."""
    _silence_client()
    mode = os.environ.get("WANDB_MODE") or mode
    if mode == "online" or (mode == "auto" and has_key()):
        _early_probe[0] = ServerProbe(AT_START * timeout)


def _run_id(folder: Path) -> str:
    """The id in the run directory; a new one is made and stored there where it has none."""
    path = folder / ID
    found = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
    if re.fullmatch(r"[\w-]{1,128}", found):
        return found
    made = secrets.token_hex(5)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(made + "\n", encoding="utf-8")
    except OSError as error:
        _say(f"its run cannot be continued later ({first_line(error)})")
    return made


_staged: list[str | None] = [None]


def _stage_in(folder: Path) -> None:
    """Stages tables and artifacts for upload in the run directory, unless WANDB_DATA_DIR names another folder.

    W&B's default is below the home directory, where a later sync from another machine would not find them.
    """
    if os.environ.get("WANDB_DATA_DIR") == _staged[0]:
        _staged[0] = os.environ["WANDB_DATA_DIR"] = str(folder.absolute() / "wandb" / "staged")


def _silence_client() -> None:
    """This module prints what matters, in one line; and W&B's client sends no reports about itself.

    Those go to the same server, for ten seconds at the end of the process if that hangs.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def _say(message: str) -> None:
    print(f"W&B: {message}", flush=True)
