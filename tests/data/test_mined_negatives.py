"""Mined negatives: their file, and the columns that they are of a batch."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.corpora.base import Split
from src.data.mined_negatives import MinedNegatives, read_mined, write_mined
from src.data.samplers import EpochSampler
from src.datamodule import CodeSearchData
from src.losses.soft_infonce import SoftInfoNCE
from src.module import CodeSearchModule
from src.runtime.distributed import RankSlice
from src.utils.errors import InputError
from src.utils.ragged import Ragged
from src.weights.bm25 import BM25Estimator
from tests.support.doubles import BagEncoder, ListCorpus

TRAIN = ListCorpus().split("train")  # 23 pairs, q0 to q22
HARD = {3: [5, 9, 11], 1: [3, 4], 7: [8]}  # of query 1, pair 3 is in the batch


@pytest.fixture
def file(tmp_path):
    write_mined(tmp_path / "negatives.jsonl", TRAIN, HARD.items())
    return tmp_path / "negatives.jsonl"


def mined(per_query: int = 1, number: int = 23, **more) -> MinedNegatives:
    return MinedNegatives(Ragged.of({"items": [HARD.get(i, []) for i in range(number)]}), per_query, 0, **more)


def data(file, **options) -> CodeSearchData:
    made = CodeSearchData(ListCorpus(), BagEncoder(), mined=file, **{"batch_size": 5, **options})
    made.setup("fit")
    return made


def test_mined_negatives_are_read_as_written(file):
    read = read_mined(file, TRAIN, 2, seed=0).negatives
    values, starts = read.columns["items"]
    assert {i: values[starts[i] : starts[i + 1]].tolist() for i in range(23) if starts[i + 1] > starts[i]} == HARD


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("per_query", [1, 3])
def test_columns_are_distinct_and_each_row_brings_its_own_negatives(world, per_query):
    items_B = np.array([3, 1, 7, 2])
    made = mined(per_query)
    for rank in range(world):
        items_C, own = made.columns(items_B, RankSlice(rank, world))
        assert len(set(items_C.tolist())) == len(items_C) == 4 * (1 + per_query)
        rows = items_B[RankSlice(rank, world).rows(4)]
        assert items_C[own][: len(rows)].tolist() == rows.tolist()
        assert len(items_C[own]) == len(rows) * (1 + per_query)
        brought = items_C[own][len(rows) :].reshape(-1, per_query)
        for item, row in zip(rows.tolist(), brought.tolist()):
            hard = [i for i in HARD.get(item, []) if i not in items_B]
            assert len(set(row) & set(hard)) == min(per_query, len(hard)), (item, row)


def test_devices_agree_on_the_columns():
    whole = [mined(2).columns(np.array([3, 1, 7, 2]), RankSlice(rank, 2))[0].tolist() for rank in (0, 1)]
    assert whole[0] == whole[1]
    one = mined(2).columns(np.array([3, 1, 7, 2]), RankSlice())[0].tolist()
    assert sorted(whole[0]) == sorted(one)


def test_a_query_draws_from_all_its_mined_negatives():
    brought = {int(mined().columns(np.array([3, other]), RankSlice())[0][2]) for other in range(12, 23)}
    assert brought == {5, 9, 11}


def test_a_batch_of_one_language_is_filled_up_from_that_language():
    language_N = np.array([0] * 8 + [1] * 15)
    items_C, _ = mined(1, language_N=language_N).columns(np.array([0, 2, 4, 6]), RankSlice())
    assert sorted(items_C.tolist()) == list(range(8))


def test_a_batch_that_needs_more_pairs_than_the_split_holds_is_refused_at_setup(file):
    with pytest.raises(InputError, match=r"batches hold 24 different codes .* found a training split of 23 pairs"):
        data(file, batch_size=8, mined_per_query=2)
    mined(2, language_N=np.array([0] * 15 + [1] * 3)).check(5)  # the 3 fill no batch
    with pytest.raises(InputError, match="split of 8 pairs"):
        mined(1, language_N=np.array([0] * 15 + [1] * 8)).check(5)


def test_similarities_of_mined_columns_belong_to_their_pairs(file):
    made = data(file, mined_per_query=2, estimator=BM25Estimator(), mask_duplicates=True)
    pairs = made.corpus.split("train").pairs
    items = np.array([3, 1, 7, 2, 20])
    batch = made.on_after_batch_transfer(made._collate(pairs)(items.tolist()), 0)
    items_C, _ = made._mined.columns(items, RankSlice())
    assert torch.equal(batch.codes["ids"], made.encoder.codes([pairs[i].code for i in items_C])["ids"])
    np.testing.assert_array_equal(batch.similarity_BC, made.estimator.similarity(items, items_C))
    assert batch.similarity_BC.shape == batch.excluded_BC.shape == (5, 15)
    assert batch.positive_B.tolist() == [0, 1, 2, 3, 4]


def test_a_copy_of_a_rows_code_among_the_mined_is_excluded(file):
    made = data(file, mask_duplicates=True)
    pairs = list(TRAIN.pairs)
    pairs[8] = replace(pairs[8], code=pairs[2].code)  # what query 7 brings is the answer to query 2
    batch = made.on_after_batch_transfer(made._collate(pairs)([7, 2]), 0)
    assert batch.excluded_BC.tolist() == [[False] * 4, [False, False, True, False]]


def test_the_loss_equals_a_slow_loop_over_the_columns(file):
    made = data(file, mined_per_query=2, estimator=BM25Estimator(normalize="self"), mask_duplicates=True)
    torch.manual_seed(0)
    module = CodeSearchModule(made.encoder, SoftInfoNCE(1.0, 1.5, 0.7), "cosine", 5.0)
    pairs = made.corpus.split("train").pairs
    items = [3, 1, 7, 2, 20]
    batch = made.on_after_batch_transfer(made._collate(pairs)(items), 0)
    module.requires_grad_(False)
    loss = module.mean_loss(module.embed(batch.queries), module.embed(batch.codes), batch)
    columns, _ = made._mined.columns(np.array(items), RankSlice())
    rows = []
    for item in items:
        negatives = [c for c in columns.tolist() if c != item]
        embed = lambda texts, side: module.embed(getattr(made.encoder, side)(texts))  # noqa: E731
        query = embed([pairs[item].query], "queries")
        scores = [float(5 * (query * embed([pairs[c].code], "codes")).sum()) for c in [item, *negatives]]
        similarity = made.estimator.similarity(np.array([item]), np.array(negatives))[0] / 0.7
        sigma = np.exp(similarity - similarity.max())
        sigma /= sigma.sum()
        weights = np.maximum(0.1, (1.5 - sigma) / (1.5 - 1 / len(negatives)))
        rows.append(-scores[0] + np.log(np.exp(scores[0]) + (weights * np.exp(scores[1:])).sum()))
    assert loss.item() == pytest.approx(np.mean(rows), rel=1e-5)


def test_several_devices_give_the_loss_of_one(file):
    items = [3, 1, 7, 2]
    losses = {}
    for world in (1, 2, 4):
        batches = []
        for rank in range(world):
            made = data(file, mined_per_query=2, estimator=BM25Estimator(normalize="self"), mask_duplicates=True)
            made.__class__ = type("Shared", (CodeSearchData,), {"rank_slice": RankSlice(rank, world)})
            torch.manual_seed(0)
            module = CodeSearchModule(BagEncoder(), SoftInfoNCE(1.0, 1.5, 0.7), "cosine", 5.0).requires_grad_(False)
            batches.append(made.on_after_batch_transfer(made._collate(made.corpus.split("train").pairs)(items), 0))
        codes_CD = torch.cat([module.embed(batch.codes) for batch in batches])  # as devices gather them
        own = [module.mean_loss(module.embed(batch.queries), codes_CD, batch).item() for batch in batches]
        losses[world] = np.mean(own)
    assert losses[2] == pytest.approx(losses[1], rel=1e-6)
    assert losses[4] == pytest.approx(losses[1], rel=1e-6)


def test_workers_draw_the_negatives_of_the_main_process(file):
    seen = []
    for workers in (0, 2):
        made = data(file, num_workers=workers, mined_per_query=2)
        loader = made.train_dataloader()
        assert isinstance(loader.sampler, EpochSampler)
        seen.append([])
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            seen[-1] += [batch.codes["ids"].tolist() for batch in loader]
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][4]


def line(**changes) -> str:
    return json.dumps({"query": "q3", "negatives": ["q5"], "train": TRAIN.fingerprint, **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(train="0123456789ab"), r"jsonl:1: these negatives belong to the training split 0123456789ab"),
        (line(query="nobody"), r"jsonl:1: expected the id of a training pair, found 'nobody'"),
        (line(negatives=["nobody"]), r"jsonl:1: expected the id of a training pair, found 'nobody'"),
        (line(negatives="q5"), r"jsonl:1: expected a list of ids in 'negatives'"),
        (line() + "\n" + line(), r"jsonl:2: query 'q3' a second time"),
        (line() + "\n{", r"jsonl:2: expected one JSON object a line"),
    ],
)
def test_a_malformed_or_foreign_file_is_refused_with_file_and_line(tmp_path, text, message):
    (tmp_path / "other.jsonl").write_text(text + "\n")
    with pytest.raises(InputError, match=message):
        read_mined(tmp_path / "other.jsonl", TRAIN, 1, seed=0)


def test_a_query_is_never_its_own_negative(tmp_path):
    (tmp_path / "own.jsonl").write_text(line(negatives=["q3", "q5"]) + "\n")
    assert read_mined(tmp_path / "own.jsonl", TRAIN, 1, seed=0).negatives[[3]].values("items").tolist() == [5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mined": "nowhere.jsonl"}, "negatives.mined=nowhere.jsonl does not exist: make it with python -m src.mine"),
        ({"positives": "query"}, "expected data.positives=code"),
    ],
)
def test_options_that_cannot_be_trained_on_are_refused_at_setup(file, options, message):
    with pytest.raises(InputError, match=message):
        data(**{"file": file, **{("file" if key == "mined" else key): value for key, value in options.items()}})


def test_interrupted_mining_leaves_no_file(tmp_path):
    def breaks():
        yield 0, [1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mined(tmp_path / "negatives.jsonl", TRAIN, breaks())
    assert not (tmp_path / "negatives.jsonl").exists()


def test_a_deduplicated_split_has_another_fingerprint():
    assert Split("train", TRAIN.pairs[:-1]).fingerprint != TRAIN.fingerprint
