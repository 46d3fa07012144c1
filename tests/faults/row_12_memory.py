"""A device without memory: torch's own error, the CPU allocator's, and a process that may not have more."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from src.module import CodeSearchModule
from tests.faults.harness import Fault, scratch
from tests.faults.training import command, ended, start

TITLE = "out of memory: a GPU's error, the CPU allocator's, and in the backward pass"
PROMISE = "one line with the three settings that reduce memory: data.batch_size, grad_cache_chunk, token_budget"
FULL = 3
SETTINGS = ("data.batch_size=8", "trainer.grad_cache_chunk=8", "data.token_budget=4096")


def run(full: bool) -> Iterator[Fault]:
    cases: dict[str, Callable[[], None]] = {
        "CUDA out of memory": lambda: failing("training_step", torch.OutOfMemoryError("CUDA out of memory. Tried ...")),
        "no address space left": lambda: hungry(),
        "in the backward pass": lambda: failing(
            "backward",
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        ),
    }
    with scratch() as folder:
        given = command(folder)
        for i, (name, fault) in enumerate(cases.items()):
            if full or i < 2:
                started = start(folder / str(i), folder / f"{i}.txt", given, fault)
                status = ended(started)
                errors = [line for line in started.text().splitlines() if line.startswith("error:")]
                said = len(errors) == 1 and all(setting in errors[0] for setting in SETTINGS)
                yield Fault(name, status == 2 and said and "Traceback" not in started.text(), started.text())


def failing(method: str, error: Exception) -> None:
    def fails(self: CodeSearchModule, *arguments: object) -> None:
        raise error

    setattr(CodeSearchModule, method, fails)


def hungry() -> None:
    """The third step asks for what the process may not have."""
    original = CodeSearchModule.training_step

    def step(self: CodeSearchModule, batch: dict, batch_idx: int) -> torch.Tensor:
        loss = original(self, batch, batch_idx)
        if self.global_step == 2:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
            loss = loss + torch.zeros(2**36).sum()  # more than what the process has kept of freed memory
        return loss

    CodeSearchModule.training_step = step
