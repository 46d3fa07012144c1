"""Memory that is kept instead of given back: a training step on a CPU frees and takes the same blocks every time.

glibc returns every block above 128 kB to the system when it is freed, and takes it again, page by page and zeroed, in
the next step. https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
NEVER = -1  # a number would be an int, and 2 GiB of freed memory are soon reached
OPTIONS = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: 256 * 2**20}
# The user's own choice of an allocator, or of its settings, stands.
OWN_CHOICE = ("LD_PRELOAD", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
SWITCH = "SOFT_INFONCE_ALLOCATOR"  # =system leaves the allocator alone


def keep_freed_memory() -> str:
    """Tells glibc's malloc to keep what is freed, for this process and its forks; returns one line for the log."""
    chosen = [name for name in OWN_CHOICE if os.environ.get(name)]
    if os.environ.get(SWITCH) == "system" or chosen:
        return f"allocator: left as it is ({', '.join(chosen) or f'{SWITCH}=system'})"
    if platform.libc_ver()[0] != "glibc":
        return "allocator: left as it is (no glibc)"
    mallopt = ctypes.CDLL(None).mallopt
    if not all([mallopt(option, value) for option, value in OPTIONS.items()]):
        return "allocator: glibc refused the settings"
    return f"allocator: glibc keeps freed memory for the next step ({SWITCH}=system turns it off)"


def release_freed_memory() -> None:
    """Returns what is free to the system after all, for the processes that come next."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
