"""One GPU per job, where several jobs of a sweep share a machine that nobody divides for them.

SLURM and ray say which GPUs a job has. joblib's and submitit's local processes all see all of them, and all would take
the first: each takes a slot here, a lock that goes with its process, and with it a GPU.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

UNDIVIDED = ("JoblibLauncher", "LocalLauncher")
SLOTS = 1024  # processes of a machine
VISIBLE = "CUDA_VISIBLE_DEVICES"
_HELD: list[FileLock] = []  # as long as the process lives: what it has begun on one GPU it cannot move


def take_one(launcher: DictConfig, folder: Path | None = None) -> str | None:
    """Leaves this process one of the GPUs that it sees, the one with the fewest jobs of sweeps; returns its name.

    To be called before CUDA is first used. None, and nothing is changed, where the launcher divides the machine, where
    there are fewer than two, or where this process has taken its own before.

    Args:
        launcher: Hydra's, of this job.
        folder: of the locks, shared by all sweeps of a user on the machine.
    """
    if launcher["_target_"].rsplit(".", 1)[-1] not in UNDIVIDED or _HELD:
        return None
    gpus = visible()
    if len(gpus) < 2:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"soft-infonce-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for slot in range(SLOTS):
        lock = FileLock(folder / f"{slot}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _HELD.append(lock)
        os.environ[VISIBLE] = gpus[slot % len(gpus)]
        return os.environ[VISIBLE]
    return None


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; CUDA stays untouched."""
    if VISIBLE in os.environ:
        return [name.strip() for name in os.environ[VISIBLE].split(",") if name.strip()]
    import torch  # not above: a sweep that has nothing to run would wait for it

    return [str(i) for i in range(torch.cuda.device_count())]
