"""Types what somebody may type: typos, wrong types and contradictions in every group, for every command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.commands import QUICK, run_command
from tests.doubles import write_corpus
from tests.faults.harness import Fault, scratch

TITLE = "40 misconfigurations: typos, wrong types, contradictions, over every group"
PROMISE = "one line with key, value and the nearest valid name, before any data is read"
FULL = 40

# overrides of src.train on a small corpus, and what the one line must hold
TRAIN = [
    # names that do not exist
    ("los=infonce", ("'loss'",)),
    ("loss=soft_infonc", ("soft_infonc", "'soft_infonce'")),
    ("weights=bm52", ("bm52", "'bm25'")),
    ("lang=pyhton", ("pyhton", "'python'")),
    ("backbone=tinny", ("tinny", "'tiny'")),
    ("batching=similer", ("similer", "'similar'")),
    ("trainer=gpus", ("gpus", "'gpu'")),
    ("logger=wandbb", ("wandbb", "'wandb'")),
    ("experiment=smok", ("smok", "'smoke'")),
    ("loss.alhpa=2", ("loss.alhpa", "'loss.alpha'")),
    ("data.batchsize=8", ("data.batchsize", "'data.batch_size'")),
    ("trainer.max_epoch=2", ("trainer.max_epoch", "'trainer.max_epochs'")),
    ("+optimizer.learning_rates=1", ("optimizer.learning_rates", "'optimizer.learning_rate'")),
    ("+trainer.limit_train_batch=4", ("trainer.limit_train_batch", "'trainer.limit_train_batches'")),
    ("+logger.csv.save_dri=x", ("logger.csv.save_dri", "'logger.csv.save_dir'")),
    ("+backbone.encoder.embeding_size=9", ("backbone.encoder.embeding_size", "'backbone.encoder.embedding_size'")),
    # values of another type, or out of range
    ("seed=one", ("seed", "a whole number", "'one'")),
    ("seed=-1", ("seed", "0 or more", "-1")),
    ("data.batch_size=16.5", ("data.batch_size", "a whole number", "16.5")),
    ("data.num_workers=many", ("data.num_workers", "'many'")),
    ("data.token_budget=aut", ("data.token_budget", "'auto'")),
    ("model.similarity=cosin", ("model.similarity", "'cosine'")),
    ("optimizer.learning_rate=fast", ("optimizer.learning_rate", "a number", "'fast'")),
    ("optimizer.warmup=10", ("optimizer.warmup", "up to 1", "10")),
    ("trainer.precision=bf16-mixd", ("trainer.precision", "'bf16-mixed'")),
    ("trainer.max_epochs=0", ("trainer.max_epochs", "1 or more", "0")),
    ("trainer.strategy=dpp", ("trainer.strategy", "'ddp'")),
    ("negatives.mask_duplicates=maybe", ("negatives.mask_duplicates", "true or false", "'maybe'")),
    ("keep=bests", ("keep", "'best'")),
    ("loss.weight_temperature=0", ("loss.weight_temperature", "0")),
    ("weights.between=query_cod", ("weights.between", "'query_code'")),
    ("corpus.near=2", ("corpus.near", "up to 1", "2")),
    ("backbone.encoder.dropout=1.5", ("backbone.encoder.dropout", "below 1", "1.5")),
    # what cannot go together, or is not there
    ("weights=none", ("weights=none", "weights=bm25")),
    ("loss.beta=0.01", ("beta=0.01", "n=15")),
    ("trainer.check_val_every_n_epoch=99", ("trainer.check_val_every_n_epoch=99", "trainer.max_epochs=1")),
    ("batching=similar batching.group=32", ("batching.group=32", "data.batch_size=16")),
    ("weights=simcse cache=null", ("weights=simcse", "cache=DIR")),
    ("weights=trained_model weights.backbone=minilmm", ("weights.backbone", "'minilm'")),
    ("checkpoint=nowhere.ckpt", ("checkpoint nowhere.ckpt", "does not exist")),
    ("corpus.root=nowhere", ("corpus.root=nowhere", "corpus=stdlib")),
    ("lang=ruby", ("lang=ruby", "python")),
    ("backbone=hf", ("backbone.name",)),
    ("backbone=minilm backbone.encoder.frozen_layers=2 backbone.lora.rank=4", ("frozen_layers", "backbone.lora")),
    ("trainer.devices=3 trainer.strategy=ddp", ("data.batch_size", "3 devices")),
    ("+trainer.fast_dev_run=true", ("trainer.fast_dev_run=true", "experiment=smoke")),
    ("data.positives=query loss=infonce", ("data.positives=query", "backbone.encoder.dropout")),
    ("corpus.batches=mixd lang=all", ("corpus.batches", "'mixed'")),
]
OTHERS = [
    ("eval", "run=nowhere", ("nowhere", "does not exist")),
    ("eval", "chekpoint=x", ("chekpoint", "'checkpoint'")),
    ("download", "corpus=cosqa attempts=0", ("attempts", "1 or more", "0")),
    ("harvest", "lang=go out=x workers=-1", ("workers", "0 or more", "-1")),
    ("corpus_report", "near=1.5", ("near", "up to 1", "1.5")),
    ("inspect_weights", "estimators=[bm52]", ("estimators", "'bm25'")),
]


def run(full: bool) -> Iterator[Fault]:
    with scratch() as folder:
        root = write_corpus(folder / "corpus")
        small = (*QUICK, "corpus=codesearchnet", f"corpus.root={root}", "data.batch_size=16", "trainer.max_epochs=1")
        for typed, words in TRAIN if full else TRAIN[::7]:
            yield fault(folder, "train", [*small, *typed.split()], typed, words)
        for command, typed, words in OTHERS if full else OTHERS[::3]:
            yield fault(folder, command, typed.split(), f"{command} {typed}", words)


def fault(folder: Path, command: str, overrides: list[str], name: str, words: tuple[str, ...]) -> Fault:
    """Survived: exit status 2 and one line that holds all the words, and nothing was read."""
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(mock.patch(reader, side_effect=RuntimeError("data was read")))
            for reader in ("src.corpora.codesearchnet.read_rows", "src.corpora.stdlib.read_library")
        ]
        try:
            result = run_command(command, folder / "run", *overrides)
        except Exception as error:  # a traceback is no line
            return Fault(name, False, f"{type(error).__name__}: {error}")
    said = result.errors.strip()
    good = result.status == 2 and len(said.splitlines()) == 1 and all(word in said for word in words)
    return Fault(name, good and not any(reader.called for reader in readers), f"status {result.status}: {said}")
