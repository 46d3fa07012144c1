"""A large batch with gradient caching compared with a small one without: time per pair and peak memory.

Each runs in a fresh process. `ours` is the small batch: a ratio of 1 in memory says that the large batch takes no more.
Without a GPU texts are truncated to a few tokens, which keeps the time bearable.
"""

from pathlib import Path
from typing import Any

import torch

from src.bench.data import BenchData
from src.bench.measurement import MEGABYTES, OURS, SECONDS, Benchmark, LeftOut, alone, peak_megabytes

CHUNK = 32  # texts
SMALL = 64  # pairs of a batch without gradient caching


def measure(data: BenchData, notes: list[str], large: int) -> list[Benchmark]:
    on_gpu = torch.cuda.is_available()
    tokens = 256 if on_gpu else 16
    title = f"batch of {large:,} in chunks of {CHUNK} compared with batches of {SMALL}, texts of {tokens} tokens"
    benchmarks = [
        Benchmark("gradient_caching", f"{title}: time per pair", SECONDS, large),
        Benchmark("gradient_caching_memory", f"{title}: memory in addition to the loaded model", MEGABYTES, large),
    ]
    given: dict[str, Any] = {"model": str(data.model), "tokens": tokens, "on_gpu": on_gpu}
    run = "src.bench.gradient_caching:run"
    try:
        found = {
            OURS: alone(run, size=SMALL, chunk=None, steps=max(1, large // SMALL // 4), **given),
            f"batch_{large}": alone(run, size=large, chunk=CHUNK, steps=1, **given),
        }
    except LeftOut as error:
        notes.append(f"gradient caching is left out: {error}")
        return []
    for benchmark, key in zip(benchmarks, ("seconds", "megabytes")):
        benchmark.costs[large] = {way: [costs[key]] for way, costs in found.items()}
    return benchmarks


def run(model: str, size: int, chunk: int | None, steps: int, tokens: int, on_gpu: bool) -> dict[str, float]:
    """Seconds per pair and MB in addition to the loaded model, in this process."""
    from src.bench.data import prepare_data
    from src.bench.train_step import ours
    from src.runtime.quiet import quiet_libraries

    quiet_libraries()  # the allocator keeps its defaults: freed memory that it keeps would hide the peak
    data = prepare_data(model, Path(model))
    lengths = (f"backbone.encoder.max_{side}_tokens={tokens}" for side in ("query", "code"))
    caching = [] if chunk is None else [f"trainer.grad_cache_chunk={chunk}"]
    step = ours(data, "bf16-mixed" if on_gpu else "32-true", *lengths, *caching)
    step(data.batch(8))  # warms the libraries up and creates the optimiser's state
    device = "cuda" if on_gpu else "cpu"
    before = peak_megabytes(device, since_now=True)
    seconds = sum(step(data.batch(size, round_)) for round_ in range(steps))
    return {"seconds": seconds / (steps * size), "megabytes": max(peak_megabytes(device) - before, 0.1)}
