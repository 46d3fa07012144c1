r"""Cost of a training step with an estimator, as a ratio to the same step with plain InfoNCE, in turns in one run.

python -m src.bench.estimators [--rounds 20] [--backbone tiny] [any override of src.train ...]
python -m src.bench.estimators --backbone minilm --estimators bm25,simcse backbone.name=FOLDER \
    weights.checkpoint=FOLDER data.batch_size=64
python -m src.bench.estimators data.num_workers=1        (batches are made by another process)

A step is everything from the data loader to updated weights, as in training: texts are looked up and similarities
gathered, the model embeds, scores and learns. Estimators are fitted before, through the cache. `teacher in the loop` is
the paper's way, for comparison: no features, but a forward pass of an encoder over the queries inside every step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import lightning as L
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities import move_data_to_device
from omegaconf import DictConfig, open_dict
from rich import box
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from src.bench.material import CODE_TOKENS, QUERY_TOKENS, Material
from src.bench.measuring import OURS, SECONDS, Contest, in_turns
from src.bench.train_step import ListCorpus
from src.config.compose import compose_config
from src.corpora.base import Corpus
from src.datamodule import CodeSearchData
from src.runtime.quiet import quiet_libraries
from src.training.build import build_data, build_estimator, build_loss, build_module
from src.training.guide_models import attach

MODELS = ("bm25", "simcse", "trained_model", "mixture")
MODELS_OF_THEIR_OWN = ("simcse", "trained_model")
ESTIMATORS = ("bm25", "bm25_paper", "simcse", "trained_model", "mixture")
PREFETCHED, TIMED = 3, 4  # steps
PLAIN, TEACHER = "infonce", "teacher in the loop"


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(prog="python -m src.bench.estimators")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--estimators", default=",".join(ESTIMATORS), help="options of weights, with commas between")
    given, overrides = parser.parse_known_args(arguments)
    quiet_libraries()
    steps = contenders(given.backbone, given.estimators.split(","), overrides)
    seconds = turns(steps, given.rounds)
    show(seconds, given.backbone)
    return {name: ratio(seconds, name) for name in seconds}


def measure(
    material: Material, notes: list[str], estimators: Sequence[str] = MODELS, batch_size: int = 32, rounds: int = 5
) -> list[Contest]:
    """Overhead on the material's encoder, which is the estimators' model as well; 8 batches of pairs in turn."""
    overrides = [
        *(f"backbone.name={material.model}", f"weights.checkpoint={material.model}", f"data.batch_size={batch_size}"),
        *(f"backbone.encoder.max_query_tokens={QUERY_TOKENS}", f"backbone.encoder.max_code_tokens={CODE_TOKENS}"),
        f"cache={material.model.parent / 'cache'}",
    ]
    steps = contenders("hf", list(estimators), overrides, ListCorpus(material.pairs[: 8 * batch_size]))
    title = f"training step with an estimator, batch of {batch_size}, relative to plain InfoNCE; {material.about}"
    contest = Contest("estimator_overhead", title, SECONDS, batch_size)
    names = {PLAIN: OURS, TEACHER: "teacher_in_the_loop"}
    seconds = in_turns({names.get(name, name): step for name, step in steps.items()}, rounds)
    contest.add(batch_size, seconds)
    return [contest]


def contenders(
    backbone: str, estimators: list[str], overrides: list[str], corpus: Corpus | None = None
) -> dict[str, Callable[[], None]]:
    """name -> the next training step. All share one model and one optimiser; each has its loader and workers."""
    cfg = configured(PLAIN, "none", backbone, overrides)
    corpus = corpus or instantiate(cfg.corpus)
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit(corpus.split("train").pairs)
    module = build_module(cfg, encoder, build_loss(cfg))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5)

    def step_of(name: str, weights: str, with_teacher: bool = False) -> Callable[[], None]:
        cfg = configured(name, weights, backbone, overrides)
        loss = build_loss(cfg)
        estimator = build_estimator(cfg, loss)
        attach(estimator, cfg)
        data = build_data(cfg, corpus, encoder, estimator)
        data.setup("fit")
        data.trainer = L.Trainer(accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
        device = data.trainer.strategy.root_device  # where it trains
        module.to(device)
        batches = endless(data)

        def step() -> None:
            batch = data.on_after_batch_transfer(move_data_to_device(next(batches), device), 0)
            queries_BD, codes_BD = module.embed(batch["queries"]), module.embed(batch["codes"])
            if with_teacher:
                with torch.no_grad():
                    embeddings_BD = module.embed(batch["queries"])
                    batch["similarity"] = embeddings_BD @ embeddings_BD.T
            module.loss = loss
            module.mean_loss(queries_BD, codes_BD, batch).backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    steps = {PLAIN: step_of(PLAIN, "none")}
    steps |= {name: step_of("soft_infonce", name) for name in estimators}
    return {**steps, TEACHER: step_of("soft_infonce", "bm25", with_teacher=True)}


def endless(data: CodeSearchData) -> Iterator[dict]:
    """The loader's batches, without the pause between epochs."""
    loader = data.train_dataloader()
    number = len(loader.dataset)
    order = [i for epoch in range(1000) for i in loader.sampler.order(epoch)[: number - number % data.batch_size]]
    workers = {"num_workers": loader.num_workers, "generator": torch.Generator()}
    return iter(DataLoader(loader.dataset, data.batch_size, sampler=order, collate_fn=loader.collate_fn, **workers))


def configured(loss: str, weights: str, backbone: str, overrides: list[str]) -> DictConfig:
    # Where the models are whose keys overrides of weights are about.
    models = {"mixture": [f"weights.parts.{name}." for name in MODELS_OF_THEIR_OWN]}
    models |= {name: ["weights."] for name in MODELS_OF_THEIR_OWN}
    kept = []
    for override in overrides:
        about = override.removeprefix("weights.")
        kept += [override] if about == override else [f"{model}{about}" for model in models.get(weights, [])]
    cfg = compose_config("train", [f"loss={loss}", f"weights={weights}", f"backbone={backbone}", *kept])
    with open_dict(cfg):
        cfg.choices = {"backbone": backbone, "corpus": "the given", "lang": cfg.lang.name}
        cfg.trainer.logger = False
    return cfg


def turns(steps: dict[str, Callable], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of a step, (rounds,): of each kind in turn a few steps, the first of which have their batches ready."""
    names = list(steps)
    seconds = {name: np.empty(rounds) for name in names}
    for round_ in range(-1, rounds):  # one round to warm up
        for name in np.roll(names, round_):
            for _ in range(PREFETCHED):
                steps[name]()
            start = time.perf_counter()
            for _ in range(TIMED):
                steps[name]()
            if round_ >= 0:
                seconds[name][round_] = (time.perf_counter() - start) / TIMED
    return seconds


def ratio(seconds: dict[str, np.ndarray], name: str) -> float:
    """Median over rounds of the step's time over that of plain InfoNCE in the same round."""
    return float(np.median(seconds[name] / seconds[PLAIN]))


def show(seconds: dict[str, np.ndarray], backbone: str) -> None:
    rounds = len(seconds[PLAIN])
    title = f"{backbone}, median of {rounds} rounds, {torch.get_num_threads()} threads"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("step", "ms", "ratio", "middle half of rounds"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for name, values in seconds.items():
        low, high = np.quantile(values / seconds[PLAIN], (0.25, 0.75))
        label = name if name in (PLAIN, TEACHER) else f"soft_infonce {name}"
        row = (f"{1000 * np.median(values):.1f}", f"{ratio(seconds, name):.3f}", f"{low:.3f} to {high:.3f}")
        table.add_row(label, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
    sys.exit(0)
