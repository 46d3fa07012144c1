"""Weights & Biases that never prompts, never hangs and never ends a run."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from src.config.types import Positive
from src.loggers.server_probe import Question, has_key
from src.runs.directory import relative
from src.utils.errors import InputError, first_line, nearest

MODES = ("auto", "online", "offline")
ARTIFACTS = ("checkpoint", "pages")
ID = "wandb_id.txt"  # of the W&B run, in the run directory
FRESH = 60.0  # seconds that an answer of the server is believed
# Shares of `timeout`: for a server to say anything at all, when a run starts and when it ends, and for the last upload.
FIRST, AGAIN, LAST = 0.5, 0.2, 0.5
UPLOAD = 600  # seconds that an artifact, asked for and begun, may take
STEP = "trainer/global_step"
# What of a metric's history stands in the table of runs; of all others the last value.
SUMMARIES = {"val/mrr": "max", "train/loss": "min", "test/*": "last"}

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]  # columns, rows


class ForgivingWandbLogger(WandbLogger):
    """A WandbLogger whose failures cost the dashboard, not the run, and nothing that a later `wandb sync` cannot bring.

    Args:
        save_dir: the run directory; W&B's own files go below it, and the id of its run: what goes on in the same
            directory is the same run there.
        mode: `auto` is online where a key is found and offline elsewhere; WANDB_MODE overrides it.
        timeout: patience with a server that hangs, in seconds; see FIRST, AGAIN and LAST.
        artifacts: what is uploaded at the end beside numbers and tables: `checkpoint`, the best one; `pages`, the HTML
            pages in the run directory.
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
        artifacts = (artifacts,) if isinstance(artifacts, str) else tuple(artifacts)
        for key, value, valid in (("mode", mode, MODES), *(("artifacts", name, ARTIFACTS) for name in artifacts)):
            if value not in valid:
                raise InputError(
                    f"logger.wandb.{key}: expected {', '.join(valid)}, found {value!r}{nearest(str(value), valid)}"
                )
        if not timeout > 0:
            raise InputError(f"logger.wandb.timeout: expected seconds, more than 0, found {timeout!r}")
        self.tables: dict[str, Table] = {}  # written at the end, each row once
        self._folder, self._timeout, self._asked = Path(save_dir), float(timeout), artifacts
        self._init = {**init, "id": _run_id(self._folder)}
        self._lost = False
        self._seen = 0.0  # when the server last answered
        self._looking: threading.Thread | None = None
        run, self._mode = self._start(os.environ.get("WANDB_MODE") or mode)
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
    def finalize(self, status: str) -> None:
        """Lightning's, where a training or a test ends: beside what follows, whether the server is still there."""
        super().finalize(status)
        if status == "success" and self._mode == "online" and self._looking is None:
            self._looking = threading.Thread(target=self._look, args=(Question(AGAIN * self._timeout),), daemon=True)
            self._looking.start()

    @rank_zero_only
    def finish(self, metrics: Mapping[str, float]) -> None:
        """Writes the final numbers, the tables and what artifacts were asked for, and closes the run.

        Where the server has gone in the meantime, all that goes into an offline part of the same run.
        """
        online = self._mode == "online"
        if self._looking is not None:
            self._looking.join()
        if online and not self._lost and time.monotonic() - self._seen > FRESH:
            self._look(Question(AGAIN * self._timeout))
        self._try(self._conclude, metrics)
        complete = self._close()
        if self._lost and online:
            run, self._mode = self._start("offline", tell=False)
            self._experiment, self._lost = run, False
            self._try(self._conclude, metrics)
            complete = self._close() and complete
        if online and (self._mode != "online" or not complete):
            _say(f"not all was uploaded; for the rest: {self._sync('--include-online ', '*run-*')}")

    def _look(self, asked: Question) -> None:
        """Closes the run where the server has gone, which takes as long as W&B's client is patient."""
        if why := asked.absence():
            self._lose(why)
            self._close()
        else:
            self._seen = time.monotonic()

    def _conclude(self, metrics: Mapping[str, float]) -> None:
        run = self.experiment
        for name, (columns, rows) in self.tables.items():
            run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})
        # A metric with a summary of its own has it from its history.
        run.summary.update({key: value for key, value in metrics.items() if key not in SUMMARIES})
        best = self._folder / "checkpoints" / "best.ckpt"
        pages = sorted(self._folder.glob("*.html"))
        for kind, name, files in (("checkpoint", "model", [best]), ("pages", "pages", pages)):
            if kind in self._asked and (there := [file for file in files if file.is_file()]):
                self._upload(wandb.Artifact(f"{name}-{run.id}", type=name, metadata=dict(metrics)), there)

    def _upload(self, artifact: wandb.Artifact, files: Sequence[Path]) -> None:
        for file in files:
            artifact.add_file(str(file), policy="immutable", skip_cache=True)  # no copy: the run directory is one
        logged = self.experiment.log_artifact(artifact)
        if self._mode == "online":
            logged.wait(timeout=UPLOAD)

    def _close(self) -> bool:
        """Whether all that was logged is where it belongs."""
        try:
            self.experiment.finish()
        except Exception:  # above all, that the upload takes too long: it is on disk
            return False
        return not self._lost

    def _try(self, call: Callable, *args: Any) -> None:
        if self._lost:
            return
        try:
            call(*args)
        except Exception as error:  # whatever the network or the client does, the run goes on
            self._lose(first_line(error))

    def _lose(self, why: str) -> None:
        if self._lost:
            return
        self._lost = True
        _say(f"logging stopped ({why}); the run goes on, metrics.csv is complete")

    def _start(self, mode: str, tell: bool = True) -> tuple[Any, str]:
        """A wandb run and its mode: online, else offline, else disabled."""
        _quieten()
        _stage_in(self._folder)
        if mode == "auto":
            mode = "online" if has_key() else "offline"
        asked, _ahead[0] = _ahead[0], None
        if mode == "online" and (why := (asked or Question(FIRST * self._timeout)).absence()):
            _say(f"online logging did not start ({why})")
            mode = "offline"
        for attempt in dict.fromkeys((mode, "offline", "disabled")):
            try:
                run = self._begun(attempt)
            except Exception as error:  # unauthorised, a full disk: all cost the dashboard only
                _say(f"{attempt} logging did not start ({first_line(error)})")
                with suppress(Exception):
                    wandb.teardown()  # whose process would say that the run's id is in use
                continue
            if attempt == "online":
                _say(f"logging to {run.url}")
            elif attempt == "offline" and tell:
                _say(f"logging offline; to upload: {self._sync('', 'offline-run-*')}")
            return run, attempt
        raise RuntimeError("wandb.init(mode='disabled') failed: the wandb package is broken")

    def _begun(self, mode: str) -> Any:
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            finish_timeout_raises=True,
            # What is offline waits for this machine alone, however busy it is.
            **({"init_timeout": self._timeout, "finish_timeout": LAST * self._timeout} if mode == "online" else {}),
        )
        start = partial(wandb.init, dir=str(self._folder), mode=mode, settings=settings, reinit="finish_previous")
        run = start(resume="allow", **self._init)
        run.define_metric(STEP, hidden=True)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        for name, summary in SUMMARIES.items():
            run.define_metric(name, step_metric=STEP, step_sync=True, summary=summary)
        return run

    def _sync(self, option: str, parts: str) -> str:
        return f"wandb sync {option}{relative(self._folder)}/wandb/{parts}"


_ahead: list[Question | None] = [None]


def ask_ahead(mode: str = "auto", timeout: float = 10.0, **other: Any) -> None:
    """Asks the server whether it is there, for the next logger of these arguments, while its run is prepared."""
    _quieten()
    mode = os.environ.get("WANDB_MODE") or mode
    if mode == "online" or (mode == "auto" and has_key()):
        _ahead[0] = Question(FIRST * timeout)


def _run_id(folder: Path) -> str:
    """The id in the run directory; a new one, which is left there, where none is."""
    path = folder / ID
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        found = ""
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
    """What tables and artifacts are uploaded from lies in the run directory, unless WANDB_DATA_DIR says where.

    W&B keeps it below the home directory, where a later sync from another machine looks in vain.
    """
    if os.environ.get("WANDB_DATA_DIR") == _staged[0]:
        _staged[0] = os.environ["WANDB_DATA_DIR"] = str(folder.absolute() / "wandb" / "staged")


def _quieten() -> None:
    """What matters is said here, in one line; and W&B's client does not report on itself.

    Its reports go to the same server, for ten seconds at the end of the process where that hangs.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")


def _say(message: str) -> None:
    print(f"W&B: {message}", flush=True)
