"""A training step: ours, sentence-transformers' trainer, and a loop that pads every text to the maximum length.

All train the same model on the same texts with InfoNCE over cosines (MultipleNegativesRankingLoss in
sentence-transformers). A step is timed from texts to updated weights, tokenising included. Each round takes new texts.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count

import lightning as L
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from src.backbones.hub import quiet
from src.bench.data import CODE_TOKENS, QUERY_TOKENS, BenchData
from src.bench.measurement import OURS, SECONDS, Benchmark, has, in_turns, now
from src.config.compose import compose_config
from src.corpora.base import Corpus, Pair, Split
from src.training.build import build_data, build_loss, build_module

SCALE = 20.0
PRECISIONS = {"32-true": "train_step", "bf16-mixed": "train_step_bf16"}
Steps = Callable[[Sequence[Pair]], float]  # seconds of one step on a batch of these


def measure(data: BenchData, notes: list[str], sizes: Sequence[int], rounds: int) -> list[Benchmark]:
    """The largest size in both precisions, smaller ones in float32.

    The first round of the largest size is not counted: it gets from the system the memory that a step needs.
    """
    device = "GPU" if torch.cuda.is_available() else "CPU"
    benchmarks: list[Benchmark] = []
    best = Benchmark("train_step_best", "ours in bfloat16, theirs in float32", SECONDS, max(sizes))
    for precision, what in PRECISIONS.items():
        title = f"training step, batch of N, {precision}, code length {CODE_TOKENS}, {device}; {data.about}"
        benchmark = Benchmark(what, title, SECONDS, max(sizes))
        ways = {OURS: ours(data, precision), "naive_padded": naive_padded(data, precision)}
        if has("sentence_transformers", notes) and has("datasets", notes):
            ways["sentence_transformers"] = sentence_transformers(data, precision)
        for way in ways.values():
            way(data.batch(4))  # warms the libraries up
        is_first = not benchmarks
        for size in sorted(sizes, reverse=True) if is_first else [max(sizes)]:
            is_largest = size == max(sizes)
            turn = {name: _rounds(way, data, size) for name, way in ways.items()}
            benchmark.costs[size] = in_turns(turn, rounds if is_largest else 1, warm=is_first and is_largest)
        benchmarks.append(benchmark)
    plain, half = (benchmark.costs[max(sizes)] for benchmark in benchmarks)
    best.costs[max(sizes)] = {**plain, OURS: half[OURS]}
    return [*benchmarks, best]


def _rounds(way: Steps, data: BenchData, size: int) -> Callable[[], float]:
    rounds = count()
    return lambda: way(data.batch(size, next(rounds)))


# Ours: the loader, the module and the trainer of src.train


def configured(data: BenchData, *overrides: str) -> DictConfig:
    """The configuration with which src.train trains the data's encoder with plain InfoNCE."""
    lengths = (f"backbone.encoder.max_query_tokens={QUERY_TOKENS}", f"backbone.encoder.max_code_tokens={CODE_TOKENS}")
    plain = ("loss=infonce", "weights=none", "backbone=hf", f"backbone.name={data.model}", "trainer.max_epochs=1")
    return compose_config("train", [*plain, *lengths, *overrides])


class ListCorpus(Corpus):
    """A corpus whose training split is these pairs."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs

    def read(self, name: str) -> Split:
        return Split(name, self.pairs)


class Clock(L.Callback):
    """Seconds from the start of the first step to the end of the last."""

    seconds = 0.0

    def on_train_start(self, *_: object) -> None:
        self.seconds = -now()

    def on_train_end(self, *_: object) -> None:
        self.seconds += now()


def ours(data: BenchData, precision: str, *overrides: str) -> Steps:
    cfg = configured(data, f"trainer.precision={precision}", *overrides)
    encoder = instantiate(cfg.backbone.encoder)
    encoder.fit([])
    module = build_module(cfg, encoder, build_loss(cfg))

    def step(pairs: Sequence[Pair]) -> float:
        cfg.data.batch_size = len(pairs)
        clock = Clock()
        trainer = instantiate(
            cfg.trainer,
            logger=False,
            enable_checkpointing=False,
            limit_val_batches=0,
            callbacks=[clock],
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
        trainer.fit(module, datamodule=build_data(cfg, ListCorpus(pairs), encoder, None))
        return clock.seconds

    return step


# Theirs


def naive_padded(data: BenchData, precision: str) -> Steps:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with quiet():
        tokenizer, model = AutoTokenizer.from_pretrained(data.model), AutoModel.from_pretrained(data.model)
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5)
    low = partial(torch.autocast, device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext

    def embed(texts: list[str], tokens: int) -> torch.Tensor:
        batch = tokenizer(texts, padding="max_length", truncation=True, max_length=tokens, return_tensors="pt")
        batch = batch.to(device)
        mask_BL1 = batch["attention_mask"].unsqueeze(-1)
        hidden_BLD = model(**batch).last_hidden_state
        return F.normalize(((hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)).float(), dim=1)

    def step(pairs: Sequence[Pair]) -> float:
        start = now()
        with low():
            queries_BD = embed([pair.query for pair in pairs], QUERY_TOKENS)
            codes_BD = embed([pair.code for pair in pairs], CODE_TOKENS)
        scores_BB = SCALE * (queries_BD @ codes_BD.T)
        F.cross_entropy(scores_BB, torch.arange(len(pairs), device=device)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return now() - start

    return step


def sentence_transformers(data: BenchData, precision: str) -> Steps:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback

    class Timed(TrainerCallback):
        seconds = 0.0

        def on_train_begin(self, *_: object, **__: object) -> None:
            self.seconds = -now()

        def on_train_end(self, *_: object, **__: object) -> None:
            self.seconds += now()

    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    with quiet():
        model = SentenceTransformer(str(data.model))  # mean pooling where the folder names none
    model.max_seq_length = CODE_TOKENS
    model.model_card_data.widget = [{"text": ""}]  # otherwise it makes one before every training
    loss = MultipleNegativesRankingLoss(model, scale=SCALE)

    def step(pairs: Sequence[Pair]) -> float:
        clock = Timed()
        rows = {"anchor": [pair.query for pair in pairs], "positive": [pair.code for pair in pairs]}
        with tempfile.TemporaryDirectory() as folder:
            arguments = SentenceTransformerTrainingArguments(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=len(pairs),
                learning_rate=2e-5,
                bf16=precision == "bf16-mixed",
                use_cpu=not torch.cuda.is_available(),
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            trainer = SentenceTransformerTrainer(
                model, arguments, train_dataset=Dataset.from_dict(rows), loss=loss, callbacks=[clock]
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
        return clock.seconds

    return step
