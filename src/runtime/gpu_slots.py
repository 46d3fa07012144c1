"""One GPU per job, where several jobs of a sweep run on a machine whose launcher assigns no GPUs.

SLURM and ray say which GPUs a job has. joblib's and submitit's local processes all see all of them, and all would take
the first: here each claims a slot, a lock that ends with its process, and with it a GPU.
"""

import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

LOCAL_LAUNCHERS = ("JoblibLauncher", "LocalLauncher")
SLOTS = 1024  # more than the jobs of a machine
VISIBLE = "CUDA_VISIBLE_DEVICES"
_held_locks: list[FileLock] = []  # as long as the process lives: a job cannot move to another GPU


def claim_gpu(launcher: DictConfig, folder: Path | None = None) -> str | None:
    """Restricts this process to one of the GPUs that it sees, that with the fewest jobs of sweeps; returns its name.

    To be called before CUDA is first used. None, and nothing is changed, where the launcher assigns GPUs, where there
    are fewer than two, or where this process has claimed one before.

    Args:
        launcher: the job's Hydra launcher.
        folder: folder of the locks, shared by all sweeps of a user on the machine.
    """
    if launcher["_target_"].rsplit(".", 1)[-1] not in LOCAL_LAUNCHERS or _held_locks:
        return None
    gpus = visible_gpus()
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
        _held_locks.append(lock)
        os.environ[VISIBLE] = gpus[slot % len(gpus)]
        return os.environ[VISIBLE]
    return None


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; CUDA is not initialised."""
    if VISIBLE in os.environ:
        return [name.strip() for name in os.environ[VISIBLE].split(",") if name.strip()]
    import torch  # not above: a sweep that has nothing to run would wait for it

    return [str(i) for i in range(torch.cuda.device_count())]
