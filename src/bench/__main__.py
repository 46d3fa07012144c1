"""Speed and memory next to other libraries, in one run: python -m src.bench [quick=true] [only=[train_step,bm25_block]]

Leaves bench.json (flat: `<what>/<peer>` = the peer's cost over ours, and `@N` for other sizes), costs.json (every
round), environment.json, bench.md and bench.html in its run directory. A peer that is not installed is left out, and
said so: pip install -e '.[bench]'
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

import torch

from src.bench import bm25_block, estimators, evaluation, gradient_caching, loader_allocator, losses, train_step
from src.bench.data import MINILM, BenchData, prepare_data
from src.bench.estimators import MODELS
from src.bench.measurement import CLOCK, OURS, Benchmark
from src.bench.page import Report, headline, markdown, page, tables
from src.config.direct_commands import Bench
from src.runs.directory import RunDirectory, environment, package_version, relative
from src.runtime.allocator import keep_freed_memory, release_freed_memory
from src.runtime.quiet import quiet_libraries
from src.utils.console import as_list, print_facts
from src.utils.errors import InputError
from src.utils.tables import print_tables

PEERS = ("sentence-transformers", "datasets", "bm25s", "faiss-cpu", "rank-bm25")


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the fields are the arguments of each `measure`, and their defaults a full measurement."""

    batch: tuple[int, ...] = (16, 64)  # the last one is what the step's ratios are of
    train_rounds: int = 3
    bm25: tuple[int, ...] = (32, 64, 256, 1024)
    documents: int = 20_000
    shapes: tuple[tuple[int, int], ...] = ((1499, 14_983), (14_918, 43_827))
    shape_rounds: tuple[int, ...] = (3, 1)
    losses: tuple[int, ...] = (1024, 4096, 16_384)
    loss_rounds: int = 2
    loss_ways: tuple[str, ...] = (OURS, "plain", "paper")
    estimators: tuple[str, ...] = MODELS
    estimator_batch: int = 16
    estimator_rounds: int = 5
    large: int = 4096  # batch of gradient caching
    model: Mapping[str, int] = field(default_factory=MINILM.copy)
    left_out: tuple[str, ...] = ()  # unless `only` names it


FULL = Sizes()
QUICK = Sizes(
    batch=(8,),
    train_rounds=1,
    bm25=(32, 64),
    documents=5000,
    shapes=((499, 4999),),
    shape_rounds=(1,),
    losses=(1024,),
    loss_rounds=1,
    loss_ways=(OURS, "plain"),
    estimators=("bm25",),
    estimator_batch=8,
    estimator_rounds=2,
    large=128,
    left_out=("gradient_caching", "allocator"),
)


def measures(
    sizes: Sizes, given: Callable[[], BenchData], notes: list[str]
) -> dict[str, Callable[[], list[Benchmark]]]:
    """name -> what measures it; the loader's comes after the step's, which it is compared with."""
    seconds: dict[str, float] = {}
    batch = sizes.batch[-1]

    def step() -> list[Benchmark]:
        benchmarks = train_step.measure(given(), notes, sizes.batch, sizes.train_rounds)
        seconds["step"] = sorted(benchmarks[-1].costs[batch][OURS])[0]  # the fastest is the hardest to feed
        return benchmarks

    def loader() -> list[Benchmark]:
        if "step" not in seconds:
            notes.append("loader is left out: it is compared with train_step, which was not asked for")
            return []
        return loader_allocator.loader(given(), seconds["step"], batch)

    return {
        "bm25_block": lambda: bm25_block.measure(notes, sizes.bm25, sizes.documents),
        "train_step": step,
        "loader": loader,
        "estimators": lambda: estimators.measure(
            given(), notes, sizes.estimators, sizes.estimator_batch, sizes.estimator_rounds
        ),
        "evaluation": lambda: evaluation.measure(notes, sizes.shapes, sizes.shape_rounds),
        "losses": lambda: losses.measure(notes, sizes.losses, sizes.loss_rounds, sizes.loss_ways),
        "gradient_caching": lambda: gradient_caching.measure(given(), notes, sizes.large),
        "allocator": lambda: loader_allocator.allocator(given(), notes, min(batch, 8), min(2, sizes.train_rounds)),
    }


def main(cfg: Bench, sizes: Sizes | None = None) -> dict[str, float]:
    """Measures, shows and writes; returns the ratios."""
    sizes = sizes or (QUICK if cfg.quick else FULL)
    if cfg.clock == "cpu":
        os.environ[CLOCK] = "cpu"  # the processes started from here read it too
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
        os.environ |= {f"{name}_NUM_THREADS": str(cfg.threads) for name in ("OMP", "OPENBLAS", "MKL")}
    quiet_libraries()
    notes: list[str] = []
    run = RunDirectory(cfg.out or f"outputs/bench/{datetime.now():%Y-%m-%d_%H-%M-%S}")
    with run.recording():
        chosen = measures(sizes, cache(lambda: prepare_data(cfg.model, run.path / "model", sizes.model)), notes)
        print(keep_freed_memory())
        names = as_list(cfg.only) or [name for name in chosen if name not in sizes.left_out]
        if not cfg.only and sizes.left_out:
            notes.append(f"quick=true leaves out {' and '.join(sizes.left_out)}")
        benchmarks: list[Benchmark] = []
        for name in names:
            start = time.perf_counter()
            benchmarks += chosen[name]()
            release_freed_memory()
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        report = Report(benchmarks, notes, facts(cfg), torch.cuda.is_available(), judged=sizes is FULL)
        record(run, report, cfg.docs)
    return report.ratios


def facts(cfg: Bench) -> dict[str, str]:
    """Where and how it was measured."""
    about = environment(0)
    versions = {**about["packages"], **{name: package_version(name) for name in PEERS}}
    return {
        "hardware": ", ".join(about["hardware"]["gpus"] or [f"{_processor()}, {about['hardware']['cpus']} cores"]),
        "threads": str(torch.get_num_threads()),
        "clock": "the processor's seconds" if cfg.clock == "cpu" else "wall",
        "date": f"{datetime.now():%Y-%m-%d}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
        "code": f"{(about['git']['revision'] or 'no git')[:12]}{' and changes' * about['git']['dirty']}",
        "command": " ".join(["python -m src.bench", *sys.argv[1:]]),
    }


def record(run: RunDirectory, report: Report, docs: str | None) -> None:
    """The files of the run directory, and the terminal's tables."""
    run.write_json("environment.json", environment(0))
    run.write_json("bench.json", report.ratios)
    run.write_json("costs.json", {benchmark.what: benchmark.costs for benchmark in report.benchmarks})
    run.write_text("bench.html", page(report))
    run.write_text("bench.md", markdown(report))
    print_tables(tables(report), headline(report))
    print_facts({**report.facts, "page": str(relative(run.path / "bench.html"))})
    if docs:
        insert(Path(docs), markdown(report))


BEGIN, END = "<!-- python -m src.bench docs=FILE: from here -->", "<!-- to here -->"


def insert(path: Path, text: str) -> None:
    """Puts the text between the two marks of a document."""
    document = path.read_text(encoding="utf-8")
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f"docs={path}: expected the lines {BEGIN!r} and {END!r} in it, found none")
    path.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"


if __name__ == "__main__":
    from src.config import direct_cli

    direct_cli.run(main, "bench")
