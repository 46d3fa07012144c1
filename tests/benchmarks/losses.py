"""Time and memory of Soft-InfoNCE, forward and backward: in blocks of rows, as one matrix, and the paper's way.

python -m tests.benchmarks.losses
python -m tests.benchmarks.losses --sizes 16384 --rounds 1    # one matrix and the paper's way take 6 to 14 GB
python -m tests.benchmarks.losses --loss bce --threads 2

From embeddings and an estimator's features to the gradients of the embeddings; similarities are products of features,
as with weights=simcse. `plain` is the same loss on the whole matrix, through autograd (model.loss_block=null).
`paper` writes the published code's steps from their description: every weight clipped at 0.1, the positive moved to the
first column, -log(p + 1e-15).

Every run is a fresh process. On a CPU, seconds are those of the processor, so that other work on the machine does not
count; memory is what the peak adds to embeddings and features. Printed ratios are the other way's cost over ours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from hydra.utils import instantiate
from torch.nn import functional as F

from src.by_rows import matrix
from src.cli import composed
from src.losses.base import Loss
from src.losses.blocks import AUTO, mean_loss

SCALE, T = 20.0, 1.0  # T: as conf/loss/soft_infonce.yaml
OURS = "ours"
REPEATS = {1024: 9, 4096: 2}  # of one process; larger ones once


def ours(loss: Loss, queries_ND: torch.Tensor, codes_ND: torch.Tensor, features_ND: torch.Tensor) -> torch.Tensor:
    return in_blocks(loss, queries_ND, codes_ND, features_ND, AUTO)


def plain(loss: Loss, queries_ND: torch.Tensor, codes_ND: torch.Tensor, features_ND: torch.Tensor) -> torch.Tensor:
    return in_blocks(loss, queries_ND, codes_ND, features_ND, None)


def in_blocks(loss: Loss, queries_ND, codes_ND, features_ND, block: int | str | None) -> torch.Tensor:
    N = len(queries_ND)
    similarity = matrix(lambda rows: features_ND[rows] @ features_ND.T, (N, N))
    positive_N = torch.arange(N, device=queries_ND.device)
    return mean_loss(loss, queries_ND, codes_ND, positive_N, similarity, score_scale=SCALE, block=block)


def paper(loss: Loss, queries_ND: torch.Tensor, codes_ND: torch.Tensor, features_ND: torch.Tensor) -> torch.Tensor:
    """Soft-InfoNCE with alpha = beta = 1 whatever `loss` is."""
    scores_NN, similarity_NN = SCALE * (queries_ND @ codes_ND.T), features_ND @ features_ND.T
    N = len(scores_NN)
    others_NN = ~torch.eye(N, dtype=torch.bool, device=scores_NN.device)
    negatives = similarity_NN[others_NN].view(N, N - 1)
    weights = (1 - (negatives / T).softmax(dim=1)) / (1 - 1 / (N - 1))
    weights_NN = torch.cat([torch.ones_like(weights[:, :1]), weights.clamp_min(0.1)], dim=1)
    moved_NN = torch.cat([scores_NN.diagonal()[:, None], scores_NN[others_NN].view(N, N - 1)], dim=1)
    shifted_NN = (moved_NN - moved_NN.amax(dim=1, keepdim=True)).exp() * weights_NN
    return -(shifted_NN[:, 0] / shifted_NN.sum(dim=1) + 1e-15).log().mean()


WAYS: dict[str, Callable[..., torch.Tensor]] = {OURS: ours, "plain": plain, "paper": paper}
MATRICES = {OURS: 0, "plain": 7, "paper": 14}  # N x N of float32, about, at the peak


def run(way: str, loss_name: str, N: int, D: int, device: str) -> dict[str, float]:
    """Seconds and MB of one way, in this process; `value` and `gradient` (its norm) show that all do the same."""
    loss: Loss = instantiate(composed("train", [f"loss={loss_name}"]).loss)
    generator = torch.Generator().manual_seed(0)
    made = [F.normalize(torch.randn(N, D, generator=generator), dim=1).to(device) for _ in range(3)]
    queries_ND, codes_ND = (x.requires_grad_() for x in made[:2])
    clock = time.process_time if device == "cpu" else time.perf_counter

    def step(N: int) -> torch.Tensor:
        queries_ND.grad = codes_ND.grad = None
        value = WAYS[way](loss, queries_ND[:N], codes_ND[:N], made[2][:N])
        value.backward()
        if device != "cpu":
            torch.cuda.synchronize()
        return value

    step(min(N, 67))  # libraries start
    before, seconds = peak_mb(device), []
    for _ in range(REPEATS.get(N, 1)):
        start = clock()
        value = step(N)
        seconds.append(clock() - start)
    return {
        "seconds": median(seconds),
        "MB": peak_mb(device) - before,
        "value": value.item(),
        "gradient": codes_ND.grad.norm().item(),
    }


def peak_mb(device: str) -> float:
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return torch.cuda.max_memory_allocated() / 2**20


def available_mb() -> float:
    """Free memory of the machine; no limit where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable"))


def measure(
    N: int,
    D: int = 256,
    rounds: int = 3,
    threads: int = 1,
    loss: str = "soft_infonce",
    device: str = "cpu",
    ways: Sequence[str] = tuple(WAYS),
) -> dict[str, dict[str, float]]:
    """way -> medians of `run`, in turns, each in a fresh process. Without enough memory, a way is left out."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    runs: dict[str, list[dict[str, float]]] = {}
    for way in list(ways) * rounds:
        needed = MATRICES[way] * 4 * N * N / 2**20
        if device == "cpu" and needed > 0.8 * available_mb():
            print(f"{way} at N = {N:,} is left out: it needs about {needed:,.0f} MB, {available_mb():,.0f} MB are free")
            continue
        options = ["--way", way, "--loss", loss, "--sizes", str(N), "--dimensions", str(D), "--device", device]
        command = [sys.executable, "-m", "tests.benchmarks.losses", *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            print(f"{way} at N = {N:,} is left out: {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
        else:
            runs.setdefault(way, []).append(json.loads(done.stdout))
    return {way: {key: median(one[key] for one in found) for key in found[0]} for way, found in runs.items()}


def ratios(found: dict[str, dict[str, float]]) -> dict[str, float]:
    """`loss_time/<way>` and `loss_memory/<way>`: the way's cost over ours."""
    return {
        f"loss_{name}/{way}": costs[key] / found[OURS][key]
        for way, costs in found.items()
        if way != OURS
        for name, key in (("time", "seconds"), ("memory", "MB"))
    }


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """`ratios` of every size, as `loss_time/plain/4096`."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.losses")
    parser.add_argument("--sizes", default="1024,4096,16384", help="N, with commas between")
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--loss", default="soft_infonce", help="option of loss; the paper's way is always Soft-InfoNCE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--way", choices=WAYS, help="run one way in this process and print JSON")
    args = parser.parse_args(arguments)
    sizes = [int(size) for size in args.sizes.split(",")]
    if args.way:
        print(json.dumps(run(args.way, args.loss, sizes[0], args.dimensions, args.device)))
        return {}
    ways = list(WAYS) if args.loss == "soft_infonce" else [OURS, "plain"]
    table = {}
    print(
        f"{args.loss}, D = {args.dimensions}, {args.device}, {args.threads} thread(s), median of {args.rounds} rounds"
    )
    for N in sizes:
        found = measure(N, args.dimensions, args.rounds, args.threads, args.loss, args.device, ways)
        for way, costs in found.items():
            seconds, megabytes = (costs[key] / found[OURS][key] for key in ("seconds", "MB"))
            print(
                f"  N {N:>6,}  {way:<6}{1000 * costs['seconds']:>9,.0f} ms {seconds:>6.2f} x ours"
                f"{costs['MB']:>8,.0f} MB {megabytes:>6.1f} x ours   loss {costs['value']:.6f}, "
                f"gradient {costs['gradient']:.6f}"
            )
        table |= {f"{key}/{N}": ratio for key, ratio in ratios(found).items()}
    return table


if __name__ == "__main__":
    main()
    sys.exit(0)
