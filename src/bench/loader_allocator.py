"""The data loader, which must keep up with the training step, and the memory allocator under it."""

from pathlib import Path

from hydra.utils import instantiate

from src.bench.data import BenchData, prepare_data
from src.bench.measurement import OURS, SECONDS, Benchmark, LeftOut, alone, now
from src.bench.train_step import ListCorpus, configured, naive_padded
from src.runtime.allocator import SWITCH, keep_freed_memory
from src.runtime.quiet import quiet_libraries
from src.training.build import build_data

BATCHES = 12


def loader(data: BenchData, step_seconds: float, batch_size: int) -> list[Benchmark]:
    """Seconds per pair of the loader alone, in its workers, compared with the step that it feeds."""
    title = "a pair from the data loader alone, compared with a pair in the training step"
    benchmark = Benchmark("loader", title, SECONDS, batch_size)
    cfg = configured(data, f"data.batch_size={batch_size}")
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit([])
    pairs = [data.pairs[i % len(data.pairs)] for i in range(BATCHES * batch_size)]
    datamodule = build_data(cfg, ListCorpus(pairs), encoder, None)
    datamodule.setup("fit")
    dataloader = datamodule.train_dataloader()
    next(iter(dataloader))  # starts the workers
    start = now()
    for _ in dataloader:
        pass
    benchmark.costs[batch_size] = {OURS: [(now() - start) / len(pairs)], "step": [step_seconds / batch_size]}
    return [benchmark]


def allocator(data: BenchData, notes: list[str], batch_size: int, rounds: int) -> list[Benchmark]:
    """The same step with glibc's defaults and with our settings, each in a fresh process: a setting is permanent."""
    title = f"padded training step of {batch_size}, glibc's malloc with its defaults and with our settings"
    benchmark = Benchmark("allocator", title, SECONDS, batch_size)
    costs: dict[str, list[float]] = {OURS: [], "system": []}
    try:
        for way in [*costs] * rounds:
            setting = {SWITCH: "system" if way == "system" else ""}
            function = "src.bench.loader_allocator:step_seconds"
            costs[way].append(alone(function, environment=setting, model=str(data.model), batch_size=batch_size))
    except LeftOut as error:
        notes.append(f"allocator is left out: {error}")
        return []
    benchmark.costs[batch_size] = costs
    return [benchmark]


def step_seconds(model: str, batch_size: int) -> float:
    """Seconds of the padded loop's third step, in this process."""
    keep_freed_memory()
    quiet_libraries()
    data = prepare_data(model, Path(model))
    step = naive_padded(data, "32-true")
    return [step(data.batch(batch_size, round_)) for round_ in range(3)][-1]
