"""The LightningDataModule: batches, order, similarities, evaluation loaders."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.corpora.base import Split
from src.data.collate import TrainingBatch
from src.data.samplers import RandomBatches, SimilarBatches
from src.datamodule import CodeSearchData
from src.utils.errors import InputError
from src.weights.bm25 import BM25Estimator
from tests.support.doubles import BagEncoder, ListCorpus


def data(**options) -> CodeSearchData:
    made = CodeSearchData(ListCorpus(), BagEncoder(), **{"batch_size": 7, **options})
    made.setup("fit")
    return made


def batches(made: CodeSearchData) -> list[TrainingBatch]:
    """Batches as they reach the model."""
    return [made.on_after_batch_transfer(batch, 0) for batch in made.train_dataloader()]


def test_a_short_last_batch_is_left_out():
    assert [len(batch.positive_B) for batch in batches(data())] == [7, 7, 7]  # 23 pairs


def test_every_pair_comes_once_in_an_epoch_and_the_order_changes():
    loader = data(batch_size=23).train_dataloader()
    first, second = (next(iter(loader)).codes["ids"] for _ in range(2))
    assert len({tuple(row) for row in first.tolist()}) == 23
    assert first.tolist() != second.tolist()


def test_the_same_seed_gives_the_same_order():
    one, other, third = (next(iter(data(seed=s).train_dataloader())).queries["ids"] for s in (5, 5, 6))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_similarities_belong_to_the_pairs_of_the_texts():
    made = data(estimator=BM25Estimator())
    batch = batches(made)[1]
    pairs = made.corpus.split("train").pairs
    by_text = {tuple(made.encoder.queries([pair.query])["ids"][0].tolist()): i for i, pair in enumerate(pairs)}
    index = np.array([by_text[tuple(x for x in row if x)] for row in batch.queries["ids"].tolist()])
    np.testing.assert_array_equal(batch.similarity_BC, made.estimator.similarity(index, index))
    assert batch.similarity_BC.shape == (7, 7)
    assert batch.similarity_BC.dtype == torch.float32


def test_a_batch_without_an_estimator_has_no_similarity():
    assert batches(data(estimator=None))[0].similarity_BC is None


def test_loader_workers_change_neither_the_batches_nor_the_random_numbers():
    seen = []
    for workers in (0, 1, 2):
        made = data(num_workers=workers, estimator=BM25Estimator())
        loader = made.train_dataloader()
        torch.manual_seed(0)
        epochs = [made.on_after_batch_transfer(batch, 0) for _ in range(3) for batch in loader]
        for evaluation in made.val_dataloader():
            assert list(evaluation)
        seen.append((epochs, torch.rand(3)))  # what dropout would draw next
    for epochs, drawn in seen[1:]:
        assert torch.equal(drawn, seen[0][1])
        for here, there in zip(seen[0][0], epochs, strict=True):
            assert torch.equal(here.codes["ids"], there.codes["ids"])
            assert torch.equal(here.similarity_BC, there.similarity_BC)


def test_a_batch_larger_than_the_training_split_is_refused():
    with pytest.raises(InputError, match=r"at most the training split's 23 pairs, found 24; try data\.batch_size=5"):
        data(batch_size=24)


def test_an_evaluation_reads_the_test_split_alone():
    class TestOnly(ListCorpus):
        def split(self, name):
            assert name == "test"
            return super().split(name)

    made = CodeSearchData(TestOnly(), BagEncoder())
    made.setup("test")
    queries, codes = made.test_dataloader()
    assert sorted(row for batch in queries for row in batch.row_R.tolist()) == list(range(7))
    assert sorted(row for batch in codes for row in batch.row_R.tolist()) == list(range(12))


def test_the_collate_function_can_be_pickled_for_spawned_workers():
    made = data(estimator=BM25Estimator())
    collate = pickle.loads(pickle.dumps(made.train_dataloader().collate_fn))
    assert made.on_after_batch_transfer(collate([0, 1]), 0).similarity_BC.shape == (2, 2)


def test_copies_of_a_code_are_embedded_once():
    made = CodeSearchData(ListCorpus(), BagEncoder(), eval_batch_size=2)
    texts = ["a b c", "d", "a b c", "e f", "d", "a b c"]
    seen = {}
    for batch in made._text_loader(texts, "code"):
        for row, place in zip(batch.row_R.tolist(), batch.place_R.tolist()):
            seen[row] = [x for x in batch.features["ids"][place].tolist() if x]
    assert [seen[row] for row in range(6)] == [
        [x for x in ids if x] for ids in made.encoder.codes(texts)["ids"].tolist()
    ]
    assert sum(len(b.features["ids"]) for b in made._text_loader(texts, "code")) == 3


# Duplicates, SimCSE's pairs, batches of alike pairs


class Copies(ListCorpus):
    """23 pairs of which 3 and 5 share a query and 3 and 7 share a code."""

    def split(self, name: str) -> Split:
        split = super().split(name)
        if name != "train":
            return split
        pairs = list(split.pairs)
        pairs[5] = replace(pairs[5], query=pairs[3].query)
        pairs[7] = replace(pairs[7], code=pairs[3].code)
        return Split(name, pairs)


def test_a_copy_of_the_query_or_the_positive_is_excluded():
    made = CodeSearchData(Copies(), BagEncoder(), mask_duplicates=True, batch_size=7)
    excluded = made._collate(made.corpus.split("train").pairs)([3, 1, 5, 7, 2]).excluded_BC
    expected = torch.zeros(5, 5, dtype=torch.bool)
    for i, j in ((0, 2), (0, 3)):
        expected[i, j] = expected[j, i] = True
    assert torch.equal(excluded, expected)


def test_a_large_batch_holds_no_whole_matrix(monkeypatch):
    made = data(estimator=BM25Estimator(), mask_duplicates=True)
    made.corpus = Copies()
    collate = made._collate(made.corpus.split("train").pairs)
    items = [3, 1, 5, 7, 2]
    expected = made.on_after_batch_transfer(collate(items), 0)
    for module in ("src.utils.lazy_matrix.SMALL", "src.weights.base.PRECOMPUTE_LIMIT"):
        monkeypatch.setattr(module, 20)
    batch = collate(items)
    shapes = [value.shape for value in [*batch.estimator_inputs.values(), *batch.copy_inputs]]
    assert all(5 not in shape[1:-1] and shape != (5, 5) for shape in shapes)
    batch = made.on_after_batch_transfer(batch, 0)
    for name in ("similarity_BC", "excluded_BC"):
        lazy, whole = getattr(batch, name), getattr(expected, name)
        assert not isinstance(lazy, torch.Tensor)
        assert lazy.shape == (5, 5)
        for rows in (slice(None), slice(1, 4), slice(4, 5)):
            torch.testing.assert_close(lazy[rows], whole[rows])
    assert expected.excluded_BC.any()


def test_nothing_is_excluded_by_default():
    assert all(batch.excluded_BC is None for batch in batches(data()))


def test_a_simcse_batch_pairs_a_query_with_itself():
    for batch in batches(data(positives="query")):
        assert torch.equal(batch.queries["ids"], batch.codes["ids"])


def test_similarities_that_only_order_the_batches_are_not_part_of_them():
    made = data(estimator=BM25Estimator(), batching=SimilarBatches(group=2), weigh=False)
    assert all(batch.similarity_BC is None for batch in batches(made))


def test_similar_pairs_meet_in_a_batch():
    def alike(batching) -> float:
        made = data(estimator=BM25Estimator(normalize="self"), batching=batching, batch_size=2)
        values = []
        for epoch in range(5):
            sampler = made.train_dataloader().sampler
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
            items = list(sampler)
            values += [made.estimator.similarity(np.array([a]), np.array([b])) for a, b in zip(items[::2], items[1::2])]
        return float(np.mean(values))

    assert alike(SimilarBatches(group=2)) > 1.2 * alike(RandomBatches())


def test_similar_batches_without_an_estimator_are_refused_at_setup():
    with pytest.raises(InputError, match="batching=similar needs an estimator"):
        data(batching=SimilarBatches())
