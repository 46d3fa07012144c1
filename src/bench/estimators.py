r"""Cost of a training step with an estimator, as a ratio to the same step with plain InfoNCE, measured in turns.

python -m src.bench.estimators [--rounds 20] [--backbone tiny] [any override of src.train ...]
python -m src.bench.estimators --backbone minilm --estimators bm25,simcse backbone.name=FOLDER \
    weights.checkpoint=FOLDER data.batch_size=64
python -m src.bench.estimators data.num_workers=1        (batches are made by another process)

A step is everything from the data loader to updated weights; estimators are fitted before, through the cache. `teacher
in the loop` is the paper's way: no features, but a forward pass of an encoder over the queries inside every step.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities import move_data_to_device
from omegaconf import DictConfig, open_dict
from torch.utils.data import DataLoader

from src.bench.data import CODE_TOKENS, QUERY_TOKENS, BenchData
from src.bench.measurement import OURS, SECONDS, Benchmark, in_turns, now
from src.bench.page import costs
from src.bench.train_step import ListCorpus
from src.config.compose import compose_config
from src.corpora.base import Corpus
from src.data.collate import TrainingBatch
from src.datamodule import CodeSearchData
from src.runtime.quiet import quiet_libraries
from src.training.build import build_data, build_estimator, build_loss, build_module
from src.training.guide_models import attach_guide_models
from src.utils.tables import print_tables

MODELS = ("bm25", "simcse", "trained_model", "mixture")
MODELS_OF_THEIR_OWN = ("simcse", "trained_model")
ESTIMATORS = ("bm25", "bm25_paper", "simcse", "trained_model", "mixture")
PREFETCHED, TIMED = 3, 4  # steps
TEACHER = "teacher_in_the_loop"


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(prog="python -m src.bench.estimators")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--estimators", default=",".join(ESTIMATORS), help="options of weights, with commas between")
    given, overrides = parser.parse_known_args(arguments)
    quiet_libraries()
    steps = contenders(given.backbone, given.estimators.split(","), overrides)
    title = f"training step of {given.backbone}, median of {given.rounds} rounds, {torch.get_num_threads()} threads"
    batch_size = configured("infonce", "none", given.backbone, overrides).data.batch_size
    benchmark = Benchmark("estimator_overhead", title, SECONDS, batch_size)
    benchmark.costs[batch_size] = in_turns({name: prefetched(step) for name, step in steps.items()}, given.rounds)
    print_tables([costs(benchmark)])
    return {name: float(np.median(benchmark.rounds(batch_size, name))) for name in steps}


def measure(
    data: BenchData, notes: list[str], estimators: Sequence[str], batch_size: int, rounds: int
) -> list[Benchmark]:
    """Overhead with the data's encoder, which is also the estimators' guide model; 8 batches of pairs in turn."""
    overrides = [
        f"backbone.name={data.model}",
        f"weights.checkpoint={data.model}",
        f"data.batch_size={batch_size}",
        f"backbone.encoder.max_query_tokens={QUERY_TOKENS}",
        f"backbone.encoder.max_code_tokens={CODE_TOKENS}",
        f"cache={data.model.parent / 'cache'}",
    ]
    steps = contenders("hf", list(estimators), overrides, ListCorpus(data.pairs[: 8 * batch_size]))
    title = f"training step with an estimator, batch of {batch_size}, relative to plain InfoNCE; {data.about}"
    benchmark = Benchmark("estimator_overhead", title, SECONDS, batch_size)
    benchmark.costs[batch_size] = in_turns(steps, rounds)
    return [benchmark]


def prefetched(step: Callable[[], None]) -> Callable[[], float]:
    """Seconds of a step, the mean of a few, after steps that use up the batches prefetched during other steps."""

    def run() -> float:
        for _ in range(PREFETCHED):
            step()
        start = now()
        for _ in range(TIMED):
            step()
        return (now() - start) / TIMED

    return run


def contenders(
    backbone: str, estimators: list[str], overrides: list[str], corpus: Corpus | None = None
) -> dict[str, Callable[[], None]]:
    """name -> the next training step. All share one model and one optimiser; each has its own loader and workers."""
    cfg = configured("infonce", "none", backbone, overrides)
    corpus = corpus or instantiate(cfg.corpus)
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit(corpus.split("train").pairs)
    module = build_module(cfg, encoder, build_loss(cfg))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5)

    def step_of(name: str, weights: str, with_teacher: bool = False) -> Callable[[], None]:
        cfg = configured(name, weights, backbone, overrides)
        loss = build_loss(cfg)
        estimator = build_estimator(cfg, loss)
        attach_guide_models(estimator, cfg)
        data = build_data(cfg, corpus, encoder, estimator)
        data.setup("fit")
        data.trainer = L.Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
        device = data.trainer.strategy.root_device
        module.to(device)
        batches = endless(data)

        def step() -> None:
            batch = data.on_after_batch_transfer(move_data_to_device(next(batches), device), 0)
            assert isinstance(batch, TrainingBatch)
            queries_BD, codes_BD = module.embed(batch.queries), module.embed(batch.codes)
            if with_teacher:
                with torch.no_grad():
                    embeddings_BD = module.embed(batch.queries)
                    batch.similarity_BC = embeddings_BD @ embeddings_BD.T
            module.loss = loss
            module.mean_loss(queries_BD, codes_BD, batch).backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    steps = {OURS: step_of("infonce", "none")}
    steps |= {name: step_of("soft_infonce", name) for name in estimators}
    return {**steps, TEACHER: step_of("soft_infonce", "bm25", with_teacher=True)}


def endless(data: CodeSearchData) -> Iterator[TrainingBatch]:
    """The loader's batches, without the pause between epochs."""
    loader: Any = data.train_dataloader()
    number = len(loader.dataset)
    order = [i for epoch in range(1000) for i in loader.sampler.order(epoch)[: number - number % data.batch_size]]
    return iter(
        DataLoader(
            loader.dataset,
            data.batch_size,
            sampler=order,
            collate_fn=loader.collate_fn,
            num_workers=loader.num_workers,
            generator=torch.Generator(),
        )
    )


def configured(loss: str, weights: str, backbone: str, overrides: list[str]) -> DictConfig:
    # The configuration's places of the guide models to which overrides of weights apply.
    models = {"mixture": [f"weights.parts.{name}." for name in MODELS_OF_THEIR_OWN]}
    models |= {name: ["weights."] for name in MODELS_OF_THEIR_OWN}
    kept = []
    for override in overrides:
        about = override.removeprefix("weights.")
        kept += [override] if about == override else [f"{model}{about}" for model in models.get(weights, [])]
    cfg = compose_config("train", [f"loss={loss}", f"weights={weights}", f"backbone={backbone}", *kept])
    with open_dict(cfg):
        cfg.choices = {"backbone": backbone, "corpus": "as given", "lang": cfg.lang.name}
        cfg.trainer.logger = False
    return cfg


if __name__ == "__main__":
    main()
    sys.exit(0)
