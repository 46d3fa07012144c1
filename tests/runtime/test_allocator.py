import subprocess
import sys
from pathlib import Path

import pytest

from src.runtime import allocator

# Minor page faults of taking, touching and freeing the same 32 MB twenty times.
COUNT = """
import resource, sys
import numpy as np
from src.runtime.allocator import keep_freed_memory
print(keep_freed_memory(), file=sys.stderr)
for _ in range(2):
    np.ones(4 * 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(4 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


KEPT = """
from src.runtime.allocator import release_freed_memory, keep_freed_memory
import numpy as np
print(keep_freed_memory())
def resident():
    return int(open("/proc/self/statm").read().split()[1]) // 256
np.ones(16 * 2**20)
kept = resident()
release_freed_memory()
print(kept - resident())
"""


def faults(**environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout), done.stderr.strip()


@pytest.mark.skipif(allocator.platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_memory_is_kept_for_the_next_step():
    ours, said = faults()
    system, left = faults(SOFT_INFONCE_ALLOCATOR="system")
    assert "keeps freed memory" in said
    assert "unchanged (SOFT_INFONCE_ALLOCATOR=system)" in left
    assert ours < system / 10


def test_the_users_own_allocator_setting_is_kept():
    _, said = faults(MALLOC_TOP_PAD_="131072")
    assert "unchanged (MALLOC_TOP_PAD_)" in said


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
@pytest.mark.skipif(allocator.platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_kept_memory_can_be_given_back_to_the_system():
    done = subprocess.run([sys.executable, "-c", KEPT], env={}, capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout.splitlines()[-1]) > 100  # of 128 MB
