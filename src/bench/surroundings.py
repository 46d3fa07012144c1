"""What surrounds a step: the loader that must keep up with it, and the allocator that gives it memory."""

from __future__ import annotations

from pathlib import Path

from hydra.utils import instantiate

from src.bench.material import Material, material
from src.bench.measuring import OURS, SECONDS, Contest, LeftOut, alone, now
from src.bench.train_step import ListCorpus, configured, naive_padded
from src.runtime.allocator import SWITCH, keep_freed_memory
from src.runtime.quiet import quiet_libraries
from src.training.build import build_data


def loader(given: Material, notes: list[str], step_seconds: float, batch_size: int, batches: int = 12) -> list[Contest]:
    """Seconds per pair of the loader alone, in its workers, beside those of the step that it must feed."""
    contest = Contest("loader", "a pair out of the loader alone; the step takes so much longer", SECONDS, batch_size)
    cfg = configured(given, f"data.batch_size={batch_size}")
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit([])
    pairs = [given.pairs[i % len(given.pairs)] for i in range(batches * batch_size)]
    data = build_data(cfg, ListCorpus(pairs), encoder, None)
    data.setup("fit")
    dataloader = data.train_dataloader()
    next(iter(dataloader))  # workers start
    start = now()
    for _ in dataloader:
        pass
    contest.add(batch_size, {OURS: [(now() - start) / len(pairs)], "step": [step_seconds / batch_size]})
    return [contest]


def allocator(given: Material, notes: list[str], batch_size: int, rounds: int = 3) -> list[Contest]:
    """The same step with the system's allocator as it is; a fresh process for each, since a setting stays."""
    title = f"padded training step of {batch_size} with glibc's malloc as it is, beside our setting of it"
    contest = Contest("allocator", title, SECONDS, batch_size)
    costs: dict[str, list[float]] = {OURS: [], "system": []}
    try:
        for way in [*costs] * rounds:
            switched = {SWITCH: "system" if way == "system" else ""}
            function = "src.bench.surroundings:step_seconds"
            costs[way].append(alone(function, environment=switched, model=str(given.model), batch_size=batch_size))
    except LeftOut as error:
        notes.append(f"allocator is left out: {error}")
        return []
    contest.add(batch_size, costs)
    return [contest]


def step_seconds(model: str, batch_size: int) -> float:
    """Of the padded loop's third step, in this process."""
    keep_freed_memory()
    quiet_libraries()
    given = material(model, Path(model))
    step = naive_padded(given, "32-true")
    return [step(given.batch(batch_size, round_)) for round_ in range(3)][-1]
