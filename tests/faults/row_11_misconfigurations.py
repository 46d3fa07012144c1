"""Types what somebody may type: typos, wrong types and contradictions in every group, for every command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.faults.harness import Fault, scratch
from tests.support.commands import QUICK, run_command, run_direct
from tests.support.doubles import write_corpus

TITLE = "100 misconfigurations: typos, wrong types, contradictions, over every group"
PROMISE = "one line with key, value and the nearest valid name, before any data is read"
FULL = 100

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
    # words that are no KEY=VALUE, or say something else than was meant
    ("seed", ("'seed'", "KEY=VALUE")),
    ("=3", ("'=3'", "no key")),
    ("cache=", ("cache=", "cache=null")),
    ("seed=1,2", ("seed=1,2", "add -m")),
    ("loss=null", ("loss=null", "soft_infonce")),
    ("lang=[python,go]", ("lang=[python,go]", "-m lang=python,go")),
    ("loss=bce.yaml", ("loss=bce.yaml", "'bce'")),
    ("corpus.root=~/data", ("corpus.root=~/data", "quoted")),
    ("loss.alpha=[1", ("loss.alpha=[1", "a bracket is never closed")),
    ("--mutlirun", ("--mutlirun", "'--multirun'")),
    ("--config-name=eval", ("--config-name", "conf/train.yaml")),
    ("batching.group=4", ("batching.group", "batching=similar", "batching=random")),
    ("+seed=3", ("+seed=3", "type seed=3")),
    ("~loss", ("~loss", "soft_infonce")),
    ("backbone=two_towers backbone.query=codebert", ("backbone.query", "backbone@backbone.query=codebert")),
    ("seed=${sed}", ("seed", "'sed'")),
    ("-m seed=1,a", ("seed", "a whole number", "'a'", "seed=a")),
    # parts that are nothing, and paths that lead elsewhere
    ("weights=mixture weights.parts.simcse=null", ("weights.parts.simcse", "null")),
    ("logger.csv=null", ("logger.csv", "null")),
    ("checkpoint=ROOT", ("checkpoint", "is a folder")),
    ("checkpoint=ROOT/python/train.jsonl", ("checkpoint", "not a checkpoint of this project")),
    ("negatives.mined=ROOT/python/train.jsonl", ("train.jsonl:1", "'train'")),
    ("cache=ROOT/python/train.jsonl/below", ("cache=", "found a file")),
    ("backbone=hf backbone.name=nowhere/at/all", ("backbone.name='nowhere/at/all'", "no such folder")),
    ("trainer.devices=0", ("trainer.devices=0", "1 or more")),
    ("trainer.accelerator=tpu", ("trainer.accelerator='tpu'", "auto")),
    ("trainer.max_steps=0", ("trainer.max_steps", "1 or more", "0")),
    ("trainer.max_epochs=null", ("trainer.max_epochs=null", "1 or more")),
    ("+trainer.limit_test_batches=0", ("trainer.limit_test_batches", "above 0", "0")),
]
OTHERS = [
    ("eval", "run=nowhere", ("nowhere", "does not exist")),
    ("eval", "chekpoint=x", ("chekpoint", "'checkpoint'")),
    ("download", "corpus=cosqa attempts=0", ("attempts", "1 or more", "0")),
    ("harvest", "lang=go out=x workers=-1", ("workers", "0 or more", "-1")),
    ("corpus_report", "near=1.5", ("near", "up to 1", "1.5")),
    ("inspect_weights", "estimators=[bm52]", ("estimators", "'bm25'")),
    ("index", "root=x", ("root", "'roots'")),
    ("index", "batch_size=0", ("batch_size", "1 or more", "0")),
    ("index", "skip=[test]", ("skip", "'tests'")),
    ("export", "fromat=hf", ("fromat", "'format'")),
    ("export", "private=maybe", ("private", "true or false", "'maybe'")),
    ("export", "run=nowhere", ("nowhere", "does not exist")),
    ("mine", "per_qery=3", ("per_qery", "'per_query'")),
    ("mine", "depth=0", ("depth", "1 or more", "0")),
    ("mine", "weights=bm52", ("bm52", "'bm25'")),
    ("benchmark", "corpus.rot=x", ("corpus.rot", "'corpus.root'")),
    ("benchmark", "corpus.text=token", ("corpus.text", "'tokens'")),
    ("dashboard", "projct=x", ("projct", "'project'")),
    ("dashboard", "timeout=soon", ("timeout", "a number above 0", "'soon'")),
]
# entry points without Hydra
LIGHT = [
    ("search", "file indx=x", ("indx", "'index'")),
    ("search", "file index=x top=0", ("top", "1 or more", "0")),
    ("search", "file index=x fusion=rff", ("fusion", "'rrf'")),
    ("search", "file --jsn", ("--jsn", "'json'")),
    ("serve", "inde=x", ("inde", "'index'")),
    ("serve", "index=x port=70000", ("port", "below 65536", "70000")),
    ("serve", "index=x host=0.0.0.0", ("host", "127.0.0.1", "'0.0.0.0'")),
    ("report", "choose=vaild nowhere", ("vaild", "'valid'")),
    ("report", "nowhere", ("nowhere",)),
    ("report", "--basline bm25 nowhere", ("--basline", "'baseline'")),
    ("report", "basline=bm25 nowhere", ("basline", "'baseline'")),
    ("bench", "only=[losess]", ("only", "'losses'")),
    ("bench", "threads=0", ("threads", "1 or more", "0")),
    ("cache", "clera", ("clera", "'clear'")),
]


def run(full: bool) -> Iterator[Fault]:
    with scratch() as folder:
        root = write_corpus(folder / "corpus")
        small = (*QUICK, "corpus=codesearchnet", f"corpus.root={root}", "data.batch_size=16", "trainer.max_epochs=1")
        for typed, words in TRAIN if full else TRAIN[::7]:
            given = [word.replace("ROOT", str(root)) for word in typed.split()]
            yield fault(folder, "train", [*small, *given], typed, words)
        for command, typed, words in OTHERS if full else OTHERS[::3]:
            yield fault(folder, command, typed.split(), f"{command} {typed}", words)
        for command, typed, words in LIGHT if full else LIGHT[::3]:
            yield light_fault(command, typed, words)


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
    read = any(reader.called for reader in readers)
    return judged(name, result.status, result.errors, words, read)


def light_fault(command: str, typed: str, words: tuple[str, ...]) -> Fault:
    """The same, of an entry point that is not Hydra's."""
    try:
        status, _, errors = run_direct(command, *typed.split())
    except Exception as error:
        return Fault(f"{command} {typed}", False, f"{type(error).__name__}: {error}")
    return judged(f"{command} {typed}", status, errors, words)


def judged(name: str, status: int, errors: str, words: tuple[str, ...], read: bool = False) -> Fault:
    """Survived: exit status 2, and nothing but one line that holds all the words."""
    said = errors.strip()
    good = status == 2 and len(said.splitlines()) == 1 and all(word in said for word in words) and not read
    return Fault(name, good, f"status {status}{', and data was read' if read else ''}: {said}")
