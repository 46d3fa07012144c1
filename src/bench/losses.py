"""Soft-InfoNCE, forward and backward: ours, the same loss on the whole N x N matrix, and the paper's way.

Measured from embeddings and an estimator's features to the gradients of the embeddings. Ours chooses between blocks of
rows and the whole matrix; `plain` is the whole matrix through autograd (model.loss_block=null); `paper` is as the
published code. Every run is a fresh process; memory is its peak less the embeddings and features.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch.nn import functional as F

from src.bench.measurement import MEGABYTES, OURS, SECONDS, Benchmark, alone_in_turns, now, peak_megabytes
from src.config.schema import LossBlock
from src.losses.base import Loss
from src.losses.blocks import AUTO, mean_loss
from src.losses.soft_infonce import SoftInfoNCE
from src.runtime.allocator import keep_freed_memory
from src.utils.lazy_matrix import matrix

DIMENSIONS = 256
SCALE, T = 20.0, 1.0  # T: as conf/loss/soft_infonce.yaml
REPEATS = {1024: 9, 4096: 2}  # steps of one process; one for larger sizes
ONCE = 4096  # from this size on, one round


def in_blocks(
    loss: Loss, queries_ND: torch.Tensor, codes_ND: torch.Tensor, features_ND: torch.Tensor, block: LossBlock
) -> torch.Tensor:
    N = len(queries_ND)
    similarity = matrix(lambda rows: features_ND[rows] @ features_ND.T, (N, N))
    positive_N = torch.arange(N, device=queries_ND.device)
    return mean_loss(loss, queries_ND, codes_ND, positive_N, similarity, score_scale=SCALE, block=block)


def paper(loss: Loss, queries_ND: torch.Tensor, codes_ND: torch.Tensor, features_ND: torch.Tensor) -> torch.Tensor:
    """Soft-InfoNCE with alpha = beta = 1 whatever `loss` is; weights are clipped at 0.1, the positive comes first."""
    scores_NN, similarity_NN = SCALE * (queries_ND @ codes_ND.T), features_ND @ features_ND.T
    N = len(scores_NN)
    others_NN = ~torch.eye(N, dtype=torch.bool, device=scores_NN.device)
    negatives = similarity_NN[others_NN].view(N, N - 1)
    weights = (1 - (negatives / T).softmax(dim=1)) / (1 - 1 / (N - 1))
    weights_NN = torch.cat([torch.ones_like(weights[:, :1]), weights.clamp_min(0.1)], dim=1)
    moved_NN = torch.cat([scores_NN.diagonal()[:, None], scores_NN[others_NN].view(N, N - 1)], dim=1)
    shifted_NN = (moved_NN - moved_NN.amax(dim=1, keepdim=True)).exp() * weights_NN
    return -(shifted_NN[:, 0] / shifted_NN.sum(dim=1) + 1e-15).log().mean()


WAYS: dict[str, Callable[..., torch.Tensor]] = {
    OURS: partial(in_blocks, block=AUTO),
    "plain": partial(in_blocks, block=None),
    "paper": paper,
}
MATRICES = {OURS: 0, "plain": 7, "paper": 14}  # N x N of float32, about, at the peak


def measure(notes: list[str], sizes: Sequence[int], rounds: int, ways: Sequence[str]) -> list[Benchmark]:
    title = f"Soft-InfoNCE of N embeddings, forward and backward, D = {DIMENSIONS}"
    benchmarks = [
        Benchmark("loss_time", title, SECONDS, sizes[0]),
        Benchmark("loss_memory", title, MEGABYTES, sizes[-1]),
    ]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for size in sizes:
        found = alone_in_turns(
            "src.bench.losses:run",
            list(ways) * (rounds if size < ONCE else 1),
            {way: MATRICES[way] * 4 * size**2 / 2**20 for way in ways if device == "cpu"},
            notes,
            f"loss, {{way}}, N = {size:,}",
            N=size,
            device=device,
        )
        for benchmark, key in zip(benchmarks, ("seconds", "megabytes")):
            benchmark.costs[size] = {way: [one[key] for one in runs] for way, runs in found.items()}
    return benchmarks


def run(way: str, N: int, device: str) -> dict[str, float]:
    """Seconds and MB of one way, in this process."""
    loss = SoftInfoNCE(alpha=1.0, beta=1.0, weight_temperature=T)
    generator = torch.Generator().manual_seed(0)
    made = [F.normalize(torch.randn(N, DIMENSIONS, generator=generator), dim=1).to(device) for _ in range(3)]
    queries_ND, codes_ND = (x.requires_grad_() for x in made[:2])
    keep_freed_memory()

    def step(N: int) -> None:
        queries_ND.grad = codes_ND.grad = None
        WAYS[way](loss, queries_ND[:N], codes_ND[:N], made[2][:N]).backward()

    step(min(N, 67))  # warms the libraries up
    before, seconds = peak_megabytes(device, since_now=True), []
    for _ in range(REPEATS.get(N, 1)):
        start = now()
        step(N)
        seconds.append(now() - start)
    return {"seconds": median(seconds), "megabytes": max(peak_megabytes(device) - before, 0.1)}
