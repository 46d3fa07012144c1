"""The number of CPUs that this process may use."""

import os


def usable_cpus() -> int:
    """Those of its affinity mask where the system has one, else all of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
