"""Time of a training step whose batch is cut into parts of about one length, as a ratio to that of the padded batch.

python -m tests.benchmarks.parts FOLDER [--batch_size 64] [--tokens 256] [--budgets 1024 2048 4096] [--rounds 5]
    [--precision bf16-mixed] [--dropout 0] [--pooling mean]

FOLDER holds a pretrained encoder. A step is the forward and backward pass of a batch of documented functions of
python's standard library, tokenised before. All take turns on the same batches in one run; CPU seconds (on CUDA, those
of the clock), medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device

from src.backbones.transformer import TransformerEncoder
from src.corpora.stdlib import StdlibCorpus
from src.data.length_buckets import LengthBucketer
from src.losses.infonce import InfoNCE
from src.module import CodeSearchModule

PADDED = "padded"


def contenders(
    module: CodeSearchModule, budgets: Sequence[int], batch_size: int, autocast: Callable[[], Any] = nullcontext
) -> dict[str, Callable[[int], float]]:
    """name -> the step of a round, which returns its seconds."""
    pairs = StdlibCorpus().split("train").pairs
    order = np.random.default_rng(0).permutation(len(pairs))
    device = next(module.parameters()).device

    def step_of(budget: int | None) -> Callable[[int], float]:
        cut = LengthBucketer(module.encoder, budget)

        def step(round_: int) -> float:
            chosen = [pairs[i] for i in np.roll(order, -round_ * batch_size)[:batch_size]]
            texts = {"query": [pair.query for pair in chosen], "code": [pair.code for pair in chosen]}
            items = {side: module.encoder.tokenise(texts[side], side) for side in texts}
            sides = [move_data_to_device(cut(of_side), device) for of_side in items.values()]
            start = _seconds(device)
            with autocast():
                scores_BB = module.score(*(module.embed(side) for side in sides))
            module.loss(scores_BB, torch.arange(batch_size, device=device)).mean().backward()
            module.zero_grad()
            return _seconds(device) - start

        return step

    return {PADDED: step_of(None), **{f"parts of {budget:,} tokens": step_of(budget) for budget in budgets}}


def _seconds(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def in_turns(steps: dict[str, Callable[[int], float]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each round; one round before warms up."""
    seconds = {name: np.empty(rounds) for name in steps}
    for round_ in range(-1, rounds):
        for name in np.roll(list(steps), round_):
            seconds[name][round_] = steps[name](round_)  # what the round before leaves at -1 is overwritten
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--precision", choices=["32", "bf16-mixed"], default="32")
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--pooling", default="mean")
    for name, default in {"batch_size": 64, "tokens": 256, "rounds": 5, "threads": torch.get_num_threads()}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = TransformerEncoder(given.folder, given.pooling, given.tokens, given.tokens, dropout=given.dropout)
    encoder.fit([])
    module = CodeSearchModule(encoder, InfoNCE(), "cosine", 20.0).to(device)
    low = {"bf16-mixed": lambda: torch.autocast(device.type, torch.bfloat16), "32": nullcontext}[given.precision]
    seconds = in_turns(contenders(module, given.budgets, given.batch_size, low), given.rounds)
    print(f"{device}, {given.threads} thread(s), batch {given.batch_size}, {given.precision}, dropout {given.dropout}")
    for name, values in seconds.items():
        faster = np.median(seconds[PADDED] / values)
        print(f"{name:26} {np.median(values):8.2f} s  {faster:5.2f} times as fast as {PADDED}")


if __name__ == "__main__":
    main()
