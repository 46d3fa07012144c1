"""A run's directory: what a paper could be written from.

config.yaml        the resolved configuration, and which option of each group was chosen
status.json        running | finished | failed | pruned | interrupted, with the error
environment.json   versions, hardware, git revision, seed, fingerprints of the data
metrics.json       flat: test/mrr, val/mrr, bm25/mrr, train/seconds, ...
test_ranks.csv     query_id,rank of every test query
checkpoints/       best.ckpt (by val/mrr) and last.ckpt; see src/runs/checkpoint_file.py
train.log          every message of the run
README.md          what became of it, as a model card (src/runs/model_card.py)
.lock              held by the process that works in it; the system frees it when that process ends
"""

import csv
import io
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from src.utils.cpus import usable_cpus
from src.utils.errors import InputError, ResourceError, TrialPruned, UserError, first_line, is_interrupt
from src.utils.files import read_json, write_atomically

PACKAGES = (
    "torch",
    "lightning",
    "transformers",
    "tokenizers",
    "hydra-core",
    "omegaconf",
    "wandb",
    "rank-bm25",
    "scipy",
)
LOCK = ".lock"
_claimed: dict[Path, FileLock] = {}  # by this process


class RunDirectory:
    """Writes the files above; each is replaced in one step, so that a reader never sees half a file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the run directory {self.path} cannot be written ({error.strerror}); "
                "choose another with hydra.run.dir=DIR"
            ) from error

    @contextmanager
    def recording(self, **facts: Any) -> Iterator[None]:
        """status.json tells how the block went, also when it fails, and the `facts`."""
        start = time.time()

        def write(status: str, **more: str) -> None:
            seconds = round(time.time() - start, 1)
            self.write_json("status.json", {"status": status, "seconds": seconds, **more, **facts})

        write("running")
        try:
            yield
        except BaseException as error:
            if is_interrupt(error):
                write("interrupted")
            else:
                status = "pruned" if isinstance(error, TrialPruned) else "failed"
                with suppress(OSError, UserError):  # where the disk is full, the error itself must still be reported
                    write(status, error=f"{type(error).__name__}: {first_line(error)}")
            raise
        write("finished")

    def interrupted(self) -> None:
        """status.json of a process that ends without leaving `recording`."""
        self.write_json("status.json", {**read_json(self.path / "status.json"), "status": "interrupted"})

    def write_config(self, cfg: DictConfig) -> None:
        write_atomically(self.path / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))

    def write_metrics(self, metrics: Mapping[str, float]) -> None:
        self.write_json("metrics.json", dict(sorted(metrics.items())))

    def write_json(self, name: str, value: Any) -> None:
        write_atomically(self.path / name, json.dumps(value, indent=2) + "\n")

    def write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text)

    def write_ranks(self, query_ids: Sequence[str], ranks: Iterable[float]) -> None:
        """test_ranks.csv; whole ranks without a decimal point, ties as x.5."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["query_id", "rank"])
        writer.writerows((query_id, f"{float(rank):.15g}") for query_id, rank in zip(query_ids, ranks, strict=True))
        write_atomically(self.path / "test_ranks.csv", text.getvalue())


def claim(folder: Path, timeout: float = 0) -> bool:
    """Keeps every other process out of a directory, for as long as this one lives; False where one is in it.

    Args:
        timeout: seconds to wait for the other one's end.
    """
    folder = folder.resolve()
    if folder in _claimed:
        return True
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=timeout)
    except (Timeout, OSError):
        return False
    _claimed[folder] = lock
    return True


def release(folder: Path) -> None:
    if (lock := _claimed.pop(folder.resolve(), None)) is not None:
        lock.release()


@contextmanager
def claimed(folder: Path, timeout: float = 0, advice: str = "nothing of it was touched") -> Iterator[None]:
    """Claims a folder for the block. Raises ResourceError, which ends with `advice`, where another process has it."""
    if not claim(folder, timeout):
        raise ResourceError(f"another process is at work in {relative(folder)}: {advice}")
    try:
        yield
    finally:
        release(folder)


def is_claimed(folder: Path) -> bool:
    """Whether a living process has claimed the directory."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True


def relative(path: Path) -> Path:
    """The path as a person would type it from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def read_ranks(path: Path) -> dict[str, float]:
    """query_id -> rank of a test_ranks.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["query_id"]: float(row["rank"]) for row in csv.DictReader(file)}


def environment(seed: int, **data: Any) -> dict[str, Any]:
    """What results depend on in addition to the configuration: versions, hardware, code, seed, and `data` as given."""
    import torch  # here, as readers of run directories need none of it

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "hardware": {
            "processor": platform.machine(),
            "cpus": usable_cpus(),
            "torch_threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
        "git": {"revision": revision(), "dirty": bool(_git("status", "--porcelain"))},
        "command": " ".join([Path(sys.executable).name, *sys.argv]),
        "seed": seed,
        **data,
    }


def package_version(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def revision() -> str | None:
    """The commit of the code; None where that is unknown."""
    return _git("rev-parse", "HEAD")


def _git(*arguments: str) -> str | None:
    """Output of a git command in the project's folder; None where there is no git or no repository."""
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()
