"""Full disks and exhausted memory as one line: which file and how many bytes, or which settings need less memory."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import ResourceError, first_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How torch and the system say it where it is no OutOfMemoryError: on a CPU, in cuBLAS, in cuDNN.
NO_MEMORY = ("out of memory", "allocate memory", "not enough memory", "alloc_failed", "unable to allocate")


@contextmanager
def explaining_full_disk(path: Path, needed: Callable[[], int] | None = None) -> Iterator[None]:
    """Raises ResourceError, which names the file and the bytes that it needs, where there is no room to write it.

    Args:
        path: the file that the block replaces once a new one is whole.
        needed: its bytes, counted only when asked; None: nobody knows before it is written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        kept = "; the file that is there is untouched" if path.exists() else ""
        raise ResourceError(
            f"no room to write {path}: it needs {f'{needed():,}' if needed else 'more'} bytes, "
            f"found {shutil.disk_usage(path.parent).free:,} ({error.strerror}){kept}; "
            "free some, and the same command resumes"
        ) from error


@contextmanager
def explaining_memory(cfg: DictConfig, chunk: int | None = None) -> Iterator[None]:
    """Raises ResourceError, which names the three settings that reduce memory, where the device has no more.

    Args:
        chunk: texts of a batch that are encoded at once, as trainer.auto_batch may have left it; None: all.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is one of the first
        if not is_out_of_memory(error):
            raise
        raise ResourceError(_memory_advice(cfg, chunk, error)) from error


def _memory_advice(cfg: DictConfig, chunk: int | None, error: BaseException) -> str:
    keys = ("data.batch_size", "data.token_budget", "trainer.auto_batch", "trainer.devices", "trainer.precision")
    batch, budget, auto, devices, precision = (OmegaConf.select(cfg, key) for key in keys)
    smaller = f"data.batch_size={max(2, batch // 2)} (found {batch}; fewer negatives)"
    without = f"the device is out of memory ({first_line(error)[:120]})"
    if chunk == 1:
        less = f"{smaller}, trainer.precision=bf16-mixed (found {precision})"
        return f"{without}, encoding one text at a time. Either of these needs less: {less}"
    found_by = "" if auto or devices != 1 else "; trainer.auto_batch=true continues with what fits"
    return (
        f"{without}. Any of these needs less: trainer.grad_cache_chunk="
        f"{max(1, min(chunk or batch, batch) // 2)} (found {'null' if chunk is None else chunk}; the same result"
        f"{found_by}), data.token_budget=4096 (found {'null' if budget is None else budget}; the same result), "
        f"{smaller}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, had no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)
