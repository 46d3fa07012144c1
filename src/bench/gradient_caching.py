"""A large batch with gradient caching beside a small one without: time per pair and peak memory.

Each runs in a fresh process. `ours` is the small batch, which the large one is compared with: a ratio of 1 in memory
says that it takes no more. Texts are cut short where there is no GPU, so that it ends.
"""

from __future__ import annotations

from pathlib import Path

import torch

from src.bench.material import Material
from src.bench.measuring import MEGABYTES, OURS, SECONDS, Contest, LeftOut, alone, peak_megabytes

CHUNK = 32  # texts


def measure(material: Material, notes: list[str], large: int = 4096, small: int = 64) -> list[Contest]:
    on_gpu = torch.cuda.is_available()
    tokens = 256 if on_gpu else 16
    title = f"batch of {large:,} in chunks of {CHUNK} beside batches of {small}, texts of {tokens} tokens"
    contests = [
        Contest("gradient_caching", f"{title}: time per pair", SECONDS, large),
        Contest("gradient_caching_memory", f"{title}: memory beyond the loaded model", MEGABYTES, large),
    ]
    run, given = "src.bench.gradient_caching:run", {"model": str(material.model), "tokens": tokens, "on_gpu": on_gpu}
    steps = max(1, large // small // 4)
    try:
        found = {
            OURS: alone("src.bench.gradient_caching:run", size=small, chunk=None, steps=steps, **given),
            f"batch_{large}": alone(run, size=large, chunk=CHUNK, steps=1, **given),
        }
    except LeftOut as error:
        notes.append(f"gradient caching is left out: {error}")
        return []
    for contest, key in zip(contests, ("seconds", "megabytes")):
        contest.add(large, {way: [costs[key]] for way, costs in found.items()})
    return contests


def run(model: str, size: int, chunk: int | None, steps: int, tokens: int, on_gpu: bool) -> dict[str, float]:
    """Seconds per pair and MB beyond the loaded model, in this process."""
    from src.bench.material import material
    from src.bench.train_step import ours
    from src.runtime.quiet import quiet_libraries

    quiet_libraries()  # the allocator stays as it is: memory that is kept would not be seen
    taken = material(model, Path(model))
    lengths = (f"backbone.encoder.max_{side}_tokens={tokens}" for side in ("query", "code"))
    caching = [] if chunk is None else [f"trainer.grad_cache_chunk={chunk}"]
    step = ours(taken, "bf16-mixed" if on_gpu else "32-true", *lengths, *caching)
    step(taken.batch(8))  # libraries start, the optimiser has its state
    before = _peak(on_gpu, since_now=True)
    seconds = sum(step(taken.batch(size, round_)) for round_ in range(steps))
    return {"seconds": seconds / (steps * size), "megabytes": max(_peak(on_gpu) - before, 0.1)}


def _peak(on_gpu: bool, since_now: bool = False) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if on_gpu else peak_megabytes(since_now)
