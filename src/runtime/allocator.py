"""glibc's malloc settings for training on a CPU: every step frees and allocates the same blocks.

By default glibc returns every freed block above 128 kB to the system, and gets it back, page by page and zeroed, in the
next step. https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
"""

import ctypes
import gc
import os
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h
NEVER = -1  # a number would be an int, and 2 GiB of freed memory are soon reached
OPTIONS = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: 256 * 2**20}
# The user's own choice of an allocator, or of its settings, is respected.
USER_SETTINGS = ("LD_PRELOAD", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
SWITCH = "SOFT_INFONCE_ALLOCATOR"  # =system leaves the allocator alone


def keep_freed_memory() -> str:
    """Makes glibc's malloc keep freed memory, in this process and its forks; returns one line for the log."""
    chosen = [name for name in USER_SETTINGS if os.environ.get(name)]
    if os.environ.get(SWITCH) == "system" or chosen:
        return f"allocator: unchanged ({', '.join(chosen) or f'{SWITCH}=system'})"
    if platform.libc_ver()[0] != "glibc":
        return "allocator: unchanged (no glibc)"
    mallopt = ctypes.CDLL(None).mallopt
    if not all([mallopt(option, value) for option, value in OPTIONS.items()]):
        return "allocator: glibc refused the settings"
    return f"allocator: glibc keeps freed memory for the next step ({SWITCH}=system turns it off)"


def release_freed_memory() -> None:
    """Returns freed memory to the system after all, for the processes that follow."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
