"""A device without memory: torch's own error, the CPU allocator's, and a process that may not have more."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from src.backbones.tiny import TinyEncoder
from src.module import CodeSearchModule
from tests.faults.harness import Fault, scratch
from tests.faults.row_01_resumes import logged
from tests.faults.training import command, differences, ended, start

TITLE = "out of memory: a GPU's error, the CPU allocator's, in the backward pass; and 4 with trainer.auto_batch"
PROMISE = (
    "one line with the three settings that reduce memory: data.batch_size, grad_cache_chunk, token_budget; with "
    "auto_batch a run that is bit-equal to one with the chunk it found"
)
FULL = 7
SETTINGS = ("data.batch_size=8", "trainer.grad_cache_chunk=8", "data.token_budget=4096")
ACCUMULATED = "trainer.accumulate_grad_batches=2"


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
        automatic = {
            "auto_batch, from the first step": (),
            "auto_batch, accumulated gradients": (ACCUMULATED,),
            "auto_batch, 2 loader workers": ("data.num_workers=2",),
        }
        for name, options in automatic.items():
            if full or not options:
                yield made_again(name, folder / name.replace(" ", ""), (*given, *options))
        if full:
            yield nothing_fits(folder / "nothing", given)


def made_again(name: str, folder: Path, given: tuple[str, ...]) -> Fault:
    """No more than 4 texts fit: the run must be as if trainer.grad_cache_chunk=4 had been typed."""
    runs = []
    for option, fault in (("auto_batch=true", lambda: room_for(4)), ("grad_cache_chunk=4", None)):
        work = folder / option
        started = start(work, folder / f"{option}.txt", (*given, f"trainer.{option}"), fault)
        if ended(started):
            return Fault(name, False, started.text())
        runs.append((next(work.glob("outputs/*/*/status.json")).parent, started.text()))
    (found, said), (typed, _) = runs
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (found, typed)]
    for state in states:
        del state["run_config"], state["auto_batch"]
    wrong = differences(*states)
    ranks = [(run / "test_ranks.csv").read_bytes() for run in (found, typed)]
    wrong += ["test_ranks.csv"] * (ranks[0] != ranks[1])
    wrong += ["metrics.csv"] * (logged(found) != logged(typed))
    wrong += ["what was said"] * (said.count("trainer.auto_batch: the device is out of memory at step 1 ") != 2)
    return Fault(name, not wrong, ", ".join(wrong[:5]))


def nothing_fits(folder: Path, given: tuple[str, ...]) -> Fault:
    started = start(folder, folder / "it.txt", (*given, "trainer.auto_batch=true"), lambda: room_for(0))
    status, lines = ended(started), started.text().splitlines()
    errors = [line for line in lines if line.startswith("error:")]
    said = len(errors) == 1 and "one text at a time" in errors[0] and "Traceback" not in started.text()
    return Fault("auto_batch, not even one text fits", status == 2 and said, started.text())


def room_for(texts: int) -> None:
    """Training, the device encodes no more texts at once."""
    forward = TinyEncoder.forward

    def encode(self: TinyEncoder, features: dict) -> torch.Tensor:
        if self.training and len(features["rows"]) > texts:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried ...")
        return forward(self, features)

    TinyEncoder.forward = encode


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
