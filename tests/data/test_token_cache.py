"""Tokens in the cache are those that the encoder makes; whatever decides them decides the entry."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from src.backbones.base import Encoder
from src.backbones.tiny import TinyEncoder
from src.data import token_cache as module
from src.data.length_buckets import UntokenizedTexts
from src.data.token_cache import Mapped, tokenised
from src.dataflow import unparsed
from src.datamodule import CodeSearchData
from src.utils.disk_cache import Cache, read_about
from src.utils.ragged import Ragged
from tests.support.commands import direct
from tests.support.doubles import BagEncoder, ListCorpus
from tests.support.encoders import CODES, KINDS, QUERIES, makers

cache_command = direct("cache")

TEXTS = {"query": [*QUERIES, "", "\ud83d file"], "code": [*CODES, "", "def broken(:"]}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], Encoder]]:
    return makers(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(autouse=True)
def _many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handful of texts counts as many, in chunks of four."""
    monkeypatch.setattr(module, "FEW", 2)
    monkeypatch.setattr(module, "CHUNK", 4)


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("side", ["query", "code"])
@pytest.mark.parametrize("kind", KINDS)
def test_features_from_the_cache_equal_those_of_the_encoder(encoders, tmp_path: Path, kind: str, side: str) -> None:
    encoder, texts = encoders[kind](), TEXTS[side]
    made, found = (tokenised(encoder, texts, side, tmp_path) for _ in range(2))
    elsewhere = pickle.loads(pickle.dumps(found))  # as in a worker that was spawned
    rows = np.random.default_rng(0).permutation(len(texts))[:7]
    expected = encoder.features(encoder.tokenise([texts[row] for row in rows], side))
    for items in (made, found, elsewhere):
        assert isinstance(items, Mapped)
        assert len(items) == len(texts)
        assert equal(encoder.features(items[rows]), expected)
        assert encoder.lengths(items[rows]).tolist() == encoder.lengths(encoder.tokenise(texts, side))[rows].tolist()
    assert len(list(Cache(tmp_path).entries())) == 1
    assert all(values.dtype.itemsize < 4 for values, _ in found.columns.values())


def test_items_are_pickled_as_their_path(tmp_path: Path) -> None:
    items = tokenised(TinyEncoder(17, 101), TEXTS["code"] * 99, "code", tmp_path)
    assert len(items[[0]]) == 1
    assert len(pickle.dumps(items)) < 1000


def test_each_change_that_affects_tokens_makes_another_entry(encoders, tmp_path: Path) -> None:
    def entries() -> int:
        return len(list(Cache(tmp_path).entries()))

    variants = [
        TinyEncoder(17, 101), TinyEncoder(17, 103), TinyEncoder(17, 101, max_query_tokens=5), encoders["bert"](),
        encoders["roberta"](), encoders["unixcoder"](), encoders["graphcodebert"](), encoders["two_towers"](),
    ]  # fmt: skip
    for change in ({"max_query_tokens": 7}, {"query_prefix": "query: "}):
        variants.append(encoders["bert"]())
        for name, value in change.items():
            setattr(variants[-1], name, value)
    # GraphCodeBERT reads queries as the RoBERTa of its folder does
    same = {6: 4}
    for number, encoder in enumerate(variants):
        before = entries()
        tokenised(encoder, QUERIES, "query", tmp_path)
        assert entries() == before + (number not in same), number
    before = entries()
    for change in ({}, {"language": "ruby"}, {"max_nodes": 3}, {"max_code_tokens": 11}):
        graph = encoders["graphcodebert"]()
        for name, value in change.items():
            setattr(graph, name, value)
        tokenised(graph, CODES, "code", tmp_path)
        tokenised(graph, CODES, "code", tmp_path)
    assert entries() == before + 4
    tokenised(TinyEncoder(23, 101, dropout=0.5), QUERIES, "query", tmp_path)  # which decide the embeddings alone
    assert entries() == before + 4
    tokenised(TinyEncoder(17, 101), [*QUERIES[:-1], "another"], "query", tmp_path)
    tokenised(TinyEncoder(17, 101), QUERIES, "code", tmp_path)
    assert entries() == before + 6


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    encoder = TinyEncoder(17, 101)
    items = tokenised(encoder, CODES, "code", tmp_path)
    expected = encoder.codes(CODES)
    file = items.folder / f"rows{module.VALUES}"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert equal(encoder.features(tokenised(encoder, CODES, "code", tmp_path)[range(len(CODES))]), expected)


def _in_a_process(root: Path, barrier, answers) -> None:
    barrier.wait()
    items = tokenised(TinyEncoder(17, 101), CODES, "code", root)
    answers.put((str(items.folder), items[[3]].values("rows").tolist()))


def test_two_jobs_at_once_make_one_entry(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(2), context.Queue()
    jobs = [context.Process(target=_in_a_process, args=(tmp_path, barrier, answers)) for _ in range(2)]
    for job in jobs:
        job.start()
    first, second = answers.get(timeout=60), answers.get(timeout=60)
    for job in jobs:
        job.join()
    assert first == second
    assert len(list(Cache(tmp_path).entries())) == 1


def test_the_cache_command_lists_tokens(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tokenised(TinyEncoder(17, 101), CODES, "code", tmp_path)
    assert cache_command(["list", f"root={tmp_path}"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "tokens" in listed
    assert "13 texts as code, by" in listed


def test_a_cache_that_cannot_be_written_does_not_end_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = TinyEncoder(17, 101)
    (tmp_path / "file").write_text("no folder")
    items = tokenised(encoder, CODES, "code", tmp_path / "file" / "cache")
    assert isinstance(items, UntokenizedTexts)
    assert "tokenised in every epoch" in caplog.text
    assert isinstance(tokenised(encoder, CODES, "code", None), UntokenizedTexts)
    assert isinstance(tokenised(BagEncoder(), CODES, "code", tmp_path), UntokenizedTexts)  # as it is silent on them
    assert equal(encoder.features(items[[2, 0]]), encoder.codes([CODES[2], CODES[0]]))


def test_few_texts_are_held_in_memory_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 13)
    items = tokenised(TinyEncoder(17, 101), CODES, "code", tmp_path)
    assert type(items) is Ragged
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker")  # on a machine of one processor
def test_several_processes_keep_the_texts_their_order_and_the_count_of_unparsed_ones(
    encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = encoders["graphcodebert"]()
    codes = [*CODES[:5], "def broken(:", *CODES[5:11], "x = = 1", *CODES[11:], "def broken(:"]
    expected = encoder.features(encoder.tokenise(codes, "code"))
    monkeypatch.setattr(module, "usable_cpus", lambda: 2)
    asked, loader = [], torch.utils.data.DataLoader
    monkeypatch.setattr(
        module, "DataLoader", lambda *args, **options: asked.append(options) or loader(*args, **options)
    )
    for seconds, pools in [(0.0, 1), (9e9, 1)]:
        monkeypatch.setattr(module, "POOL_SECONDS", seconds)
        shutil.rmtree(tmp_path / "tokens", ignore_errors=True)
        for place in ("made", "cached"):
            before, draw = unparsed["python"], torch.random.get_rng_state()
            caplog.clear()
            with caplog.at_level(logging.WARNING, "src.data.token_cache"):
                items = tokenised(encoder, codes, "code", tmp_path)
            assert equal(encoder.features(items[range(len(codes))]), expected), place
            assert unparsed["python"] == before + 3, place
            assert "of 16 texts as code these did not parse, and are read without data flow: 3 python" in caplog.text
            assert torch.equal(torch.random.get_rng_state(), draw)
        assert len(asked) == pools
    assert asked[0]["num_workers"] == 2
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_with_and_without_the_cache(tmp_path: Path, workers: int) -> None:
    seen = []
    for cache in (None, tmp_path, tmp_path):
        made = CodeSearchData(ListCorpus(), TinyEncoder(17, 101), batch_size=7, num_workers=workers, cache=cache)
        made.setup("fit")
        loaders = [made.train_dataloader(), *made.val_dataloader()]
        seen.append([list(loader) for loader in loaders])
    assert len(list(Cache(tmp_path).entries())) == 4
    for other in seen[1:]:
        for batches, expected in zip(other, seen[0], strict=True):
            for batch, one in zip(batches, expected, strict=True):
                sides = [name for name in ("queries", "codes", "features") if hasattr(one, name)]
                assert all(equal(getattr(batch, name), getattr(one, name)) for name in sides)
    about = read_about(next(Cache(tmp_path).entries()))
    assert about["facts"] == {"failed": {}}


def test_a_forked_process_tokenises_after_its_parent_used_threads(encoders) -> None:
    encoder = encoders["bert"]()
    texts = [f"{text} {number}" for text in QUERIES for number in range(200)]  # enough for threads
    list(module._tokenise(encoder, texts, "query"))
    process = multiprocessing.get_context("fork").Process(
        target=lambda: list(module._tokenise(encoder, texts, "query")), daemon=True
    )
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 0
