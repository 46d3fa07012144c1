"""A disk that is full: the kernel's own ENOSPC, from /dev/full in the place of the file that is being written."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from src.loggers.wandb import FaultTolerantWandbLogger
from src.runs import checkpoint_file
from src.utils.disk_cache import Cache
from src.utils.errors import UserError
from src.utils.files import PART
from tests.faults.harness import Fault, scratch
from tests.faults.training import command, train
from tests.support.commands import direct

report = direct("report")

TITLE = "the disk full under a checkpoint, test_ranks.csv, metrics.csv, a report, a cache entry, W&B's files"
PROMISE = "the last good file is untouched; one line names the path and the bytes needed; the same command resumes"
FULL = 6
FULL_DEVICE = "/dev/full"


def run(full: bool) -> Iterator[Fault]:
    with scratch() as folder:
        given = command(folder)
        whole = folder / "whole"
        result = train(whole, *given)
        assert result.status == 0, result.errors
        names = ("checkpoints/last.ckpt", "test_ranks.csv", "metrics.csv") if full else ("checkpoints/last.ckpt",)
        for name in names:
            yield in_a_training(name, folder / Path(name).stem, given, whole)
        yield in_a_report(folder / "reports", whole)
        yield in_the_cache(folder / "cache")
        yield in_wandb()


def in_a_training(name: str, run: Path, given: tuple[str, ...], whole: Path) -> Fault:
    """Its third writing of the file meets a full disk; then there is room again."""
    is_checkpoint = name.endswith(".ckpt")
    with full_from(run / name, writing=3 if is_checkpoint else 1):
        broken = train(run, *given)
    line = broken.errors.strip()
    wrong = []
    if broken.status != 2 or line.count("\n") or not line.startswith("error: no room to write"):
        wrong.append(f"status {broken.status}, said {line!r}")
    if name not in line or " bytes, found " not in line:
        wrong.append(f"neither path nor bytes: {line!r}")
    if is_checkpoint:
        try:
            checkpoint_file.read(run / name)
        except checkpoint_file.DamagedError as error:
            wrong.append(f"what was there is damaged: {error}")
    if stray := [path.name for path in run.rglob(f"*{PART}")]:
        wrong.append(f"stray files {stray}")
    again = train(run, *given)
    if again.status or (run / "test_ranks.csv").read_bytes() != (whole / "test_ranks.csv").read_bytes():
        wrong.append(f"the same command: status {again.status}, {again.errors}")
    return Fault(name, not wrong, "; ".join(wrong))


def in_a_report(folder: Path, whole: Path) -> Fault:
    shutil.copytree(whole, folder / "run")
    page, said = folder / "report" / "report.html", io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        assert report([str(folder / "run"), f"to={page.parent}"]) == 0
        before = page.read_bytes()
        said.truncate(0)
        with full_from(page, writing=1):
            status = report([str(folder / "run"), f"to={page.parent}"])
    is_whole = page.read_bytes() == before
    is_said = f"no room to write {page}: it needs " in said.getvalue()
    return Fault("report.html", status == 2 and is_whole and is_said, f"status {status}, {is_whole}, {said.getvalue()}")


def in_the_cache(root: Path) -> Fault:
    cache, made = Cache(root), {"of": "this"}

    def fill(folder: Path) -> None:
        (folder / "tokens.npy").write_bytes(b"x" * 1000)
        (folder / "more.npy").symlink_to(FULL_DEVICE)
        (folder / "more.npy").write_bytes(b"x" * 1000)

    try:
        cache.get("tokens", made, fill)
    except UserError as error:
        said = str(error)
    else:
        return Fault("a cache entry", False, "nobody noticed")
    entry = cache.get("tokens", made, lambda folder: (folder / "tokens.npy").write_bytes(b"y" * 10) and None)
    is_whole = (entry.path / "tokens.npy").read_bytes() == b"y" * 10 and not list(root.rglob("*.part"))
    return Fault("a cache entry", is_whole and "no room to write" in said and str(root) in said, said)


def in_wandb() -> Fault:
    """The dashboard goes without, the training does not."""
    said: list[str] = []
    logger = FaultTolerantWandbLogger.__new__(FaultTolerantWandbLogger)
    logger._lost = False

    def write(*arguments: object) -> None:
        with open(FULL_DEVICE, "wb") as file:
            file.write(b"x")

    with mock.patch("src.loggers.wandb._say", said.append):
        logger._try(write)
        logger._try(write)
    return Fault("W&B's files", len(said) == 1 and "No space left" in said[0], str(said))


@contextmanager
def full_from(path: Path, writing: int) -> Iterator[None]:
    """Inside, that writing of the file goes to a full device, and those after it too."""
    part = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    written, seen = Path.open, []

    def opened(self: Path, mode: str = "r", *arguments, **options):
        if self in (part, path) and mode in ("wb", "ab", "w+b"):
            seen.append(mode)
            if len(seen) >= writing:
                return written(Path(FULL_DEVICE), mode, *arguments, **options)
        return written(self, mode, *arguments, **options)

    with mock.patch.object(Path, "open", opened):
        yield
