"""What LoRA and frozen layers save: trainable parameters, pairs/s and peak memory, on one checkpoint, in one run.

python -m tests.benchmarks.adaptation FOLDER [--pooling mean] [--batch_size 32] [--tokens 128] [--steps 8]

Each row trains on documented functions of python's standard library, in two processes of its own: one for the speed,
its first step left out, and one for the peak memory. That is the process's, libraries included (on CUDA, what torch
allocates on the device); the first row, which only embeds, says how much is there before training.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from src.backbones.architecture import layer_stack
from src.backbones.transformer import TransformerEncoder
from src.corpora.stdlib import StdlibCorpus
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule

Row = tuple[int, int, float, float]
# glibc keeps freed blocks for itself up to a growing size, which can double the peak of a row by chance; with this
# set, it gives those of 1 MiB back at once, which costs time.
GIVE_BACK = "MALLOC_MMAP_THRESHOLD_"


def measure(arguments: argparse.Namespace, training: bool, settings: dict[str, Any], steps: int) -> Row:
    """Trainable and all parameters, pairs/s, peak GiB."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lengths = (arguments.tokens, arguments.tokens)
    encoder = TransformerEncoder(arguments.folder, arguments.pooling, *lengths, **settings)
    encoder.fit([])
    module = CodeSearchModule(encoder, InfoNCE(), "cosine", 20.0).to(device).train(training)
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-5) if training else None
    pairs = StdlibCorpus().split("train").pairs
    size = arguments.batch_size
    for step in range(steps + 1):
        if step == 1:
            start = time.perf_counter()
        chosen = [pairs[i % len(pairs)] for i in range(step * size, (step + 1) * size)]
        features = [encoder.queries([pair.query for pair in chosen]), encoder.codes([pair.code for pair in chosen])]
        with torch.set_grad_enabled(training):
            both = [module.embed({name: tensor.to(device) for name, tensor in side.items()}) for side in features]
            loss = module.loss(module.score(*both), torch.arange(size, device=device)).mean()
        if training:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for the device
    seconds = time.perf_counter() - start
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else kib / 2**20
    sizes = (sum(p.numel() for p in weights), sum(p.numel() for p in module.parameters()))
    return *sizes, steps * size / seconds, peak


def alone(run: Callable[..., Row], *arguments: Any) -> Row:
    """run(*arguments) in a process of its own: a peak never comes down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(run, *arguments).result()


def rows_of(arguments: argparse.Namespace) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Name of each row -> whether it trains, and the encoder's settings."""
    encoder = TransformerEncoder(arguments.folder, arguments.pooling, arguments.tokens, arguments.tokens)
    encoder.fit([])
    half = len(layer_stack(encoder.model) or ()) // 2
    return {
        "embedding only": (False, {}),
        "full": (True, {}),
        "full, gradient checkpointing": (True, {"gradient_checkpointing": True}),
        f"first {half} layers frozen": (True, {"frozen_layers": half}),
        "LoRA rank 8": (True, {"lora": {"rank": 8}}),
        "LoRA rank 16": (True, {"lora": {"rank": 16}}),
        "LoRA rank 16, bfloat16 base": (True, {"lora": {"rank": 16}, "dtype": "bfloat16"}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a checkpoint's folder, or a hub name")
    parser.add_argument("--pooling", default="mean")
    for name, default in {"batch_size": 32, "tokens": 128, "steps": 8, "threads": torch.get_num_threads()}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    print(f"{'':30} {'trainable':>12} {'of all':>8} {'pairs/s':>9} {'peak GiB':>9}")
    for name, (training, settings) in rows_of(arguments).items():
        os.environ.pop(GIVE_BACK, None)
        trainable, total, speed, _ = alone(measure, arguments, training, settings, arguments.steps)
        os.environ[GIVE_BACK] = str(2**20)
        *_, peak = alone(measure, arguments, training, settings, 1)
        share = trainable / total if training else 0
        print(f"{name:30} {trainable if training else 0:12,} {share:8.1%} {speed:9.1f} {peak:9.2f}", flush=True)


if __name__ == "__main__":
    main()
