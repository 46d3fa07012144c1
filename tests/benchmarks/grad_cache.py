"""A large batch in the memory of a small one: peak memory and time per pair of gradient caching against none.

python -m tests.benchmarks.grad_cache FOLDER [--large 4096] [--small 64] [--chunk 32] [--tokens 64] [--budget 1024]
    [--precision bf16-mixed]

FOLDER holds a pretrained encoder. Both batches are of documented functions of python's standard library, in parts by
the same budget of tokens; pairs recur where a batch is larger than the library. Seconds are those of the CPU (of the
clock on CUDA), half of the small batches before the large one and half after it, in one process. Each peak is that of a
process of its own, libraries included (on CUDA, what torch allocates on the device); `loaded` is what is there before.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from contextlib import nullcontext

import torch
from lightning.fabric.utilities import move_data_to_device

from src.backbones.transformer import TransformerEncoder
from src.corpora.stdlib import StdlibCorpus
from src.data.length_buckets import LengthBucketer
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule
from src.runtime.allocator import keep_freed_memory
from tests.benchmarks.adaptation import GIVE_BACK, alone


def loaded(given: argparse.Namespace, gradient_caching: bool) -> CodeSearchModule:
    """The model, ready to train."""
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = TransformerEncoder(given.folder, given.pooling, given.tokens, given.tokens)
    encoder.fit([])
    return CodeSearchModule(encoder, InfoNCE(), "cosine", 20.0, gradient_caching=gradient_caching).to(device).train()


def step(module: CodeSearchModule, size: int, first: int, given: argparse.Namespace) -> None:
    """The forward and backward pass of `size` pairs, those from `first` on."""
    pairs = StdlibCorpus().split("train").pairs
    chosen = [pairs[i % len(pairs)] for i in range(first, first + size)]
    cut = LengthBucketer(module.encoder, given.budget, given.chunk if module.gradient_caching else None)
    texts = {"query": [pair.query for pair in chosen], "code": [pair.code for pair in chosen]}
    sides = [cut(module.encoder.tokenise(of_side, side)) for side, of_side in texts.items()]
    low = torch.autocast(module.device.type, torch.bfloat16) if given.precision == "bf16-mixed" else nullcontext()
    with low:
        embeddings = [module.embed(move_data_to_device(side, module.device)) for side in sides]
    module.mean_loss(*embeddings, {"positive": torch.arange(size, device=module.device)}).backward()
    module.zero_grad()


def peak(size: int, gradient_caching: bool, given: argparse.Namespace) -> float:
    """GiB at most, of a process that does one step; `size` 0: none."""
    module = loaded(given, gradient_caching)
    if size:
        step(module, size, 0, given)
    if module.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def seconds(given: argparse.Namespace) -> tuple[float, float]:
    """Per pair, of small batches without and of the large one with gradient caching."""
    keep_freed_memory()
    small, large = loaded(given, gradient_caching=False), loaded(given, gradient_caching=True)
    large.encoder = small.encoder
    clock = time.perf_counter if small.device.type == "cuda" else time.process_time

    def timed(module: CodeSearchModule, size: int, first: int) -> float:
        start = clock()
        step(module, size, first, given)
        if module.device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - start

    timed(small, given.small, 0)
    steps, of_small = range(0, given.large, given.small), 0.0
    for first in steps[: len(steps) // 2]:
        of_small += timed(small, given.small, first)
    of_large = timed(large, given.large, 0)
    for first in steps[len(steps) // 2 :]:
        of_small += timed(small, given.small, first)
    return of_small / (len(steps) * given.small), of_large / given.large


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--pooling", default="mean")
    parser.add_argument("--precision", choices=["32", "bf16-mixed"], default="32")
    numbers = {"large": 4096, "small": 64, "chunk": 32, "tokens": 64, "budget": 1024}
    for name, default in {**numbers, "threads": torch.get_num_threads()}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    os.environ[GIVE_BACK] = str(2**20)
    before = alone(peak, 0, False, given)
    peaks = {False: alone(peak, given.small, False, given), True: alone(peak, given.large, True, given)}
    os.environ.pop(GIVE_BACK)  # costs time
    times = alone(seconds, given)
    print(f"{given.tokens} tokens, {given.precision}, parts of {given.budget:,} tokens; loaded: {before:.2f} GiB")
    print(f"batch {given.small:,}: {peaks[False]:.2f} GiB, {1000 * times[0]:.1f} ms per pair")
    print(f"batch {given.large:,} in chunks of {given.chunk}: {peaks[True]:.2f} GiB, {1000 * times[1]:.1f} ms per pair")
    print(f"ratio: {peaks[True] / peaks[False]:.2f} of the memory, {times[1] / times[0]:.2f} of the time per pair")


if __name__ == "__main__":
    main()
