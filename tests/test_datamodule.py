"""The LightningDataModule: batches, order, similarities, evaluation loaders."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from src.datamodule import CodeSearchData
from src.errors import InputError
from src.weights.bm25 import BM25Estimator
from tests.doubles import BagEncoder, ListCorpus


def data(**options) -> CodeSearchData:
    made = CodeSearchData(ListCorpus(), BagEncoder(), **{"batch_size": 7, **options})
    made.setup("fit")
    return made


def batches(made: CodeSearchData) -> list[dict]:
    return list(made.train_dataloader())


def test_a_short_last_batch_is_trained_on():
    assert [len(batch["positive"]) for batch in batches(data())] == [7, 7, 7]  # 23 pairs


def test_a_pair_comes_twice_in_an_epoch_or_the_order_never_changes():
    loader = data(batch_size=23).train_dataloader()
    first, second = (next(iter(loader))["codes"]["ids"] for _ in range(2))
    assert len({tuple(row) for row in first.tolist()}) == 23
    assert first.tolist() != second.tolist()


def test_the_same_seed_gives_another_order():
    one, other, third = (next(iter(data(seed=s).train_dataloader()))["queries"]["ids"] for s in (5, 5, 6))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_similarities_belong_to_other_pairs_than_the_texts():
    made = data(estimator=BM25Estimator())
    batch = batches(made)[1]
    pairs = made.corpus.split("train").pairs
    by_text = {tuple(made.encoder.queries([pair.query])["ids"][0].tolist()): i for i, pair in enumerate(pairs)}
    index = np.array([by_text[tuple(x for x in row if x)] for row in batch["queries"]["ids"].tolist()])
    np.testing.assert_array_equal(batch["similarity"], made.estimator.similarity(index, index))
    assert batch["similarity"].shape == (7, 7)
    assert batch["similarity"].dtype == torch.float32


def test_a_loss_without_similarity_pays_for_an_estimator():
    assert "similarity" not in batches(data(estimator=None))[0]


def test_loader_workers_change_the_batches():
    made = [data(num_workers=n, estimator=BM25Estimator()) for n in (0, 2)]
    for here, there in zip(*(batches(m) for m in made), strict=True):
        assert torch.equal(here["codes"]["ids"], there["codes"]["ids"])
        assert torch.equal(here["similarity"], there["similarity"])


def test_a_batch_larger_than_the_training_split_gives_an_epoch_without_steps():
    with pytest.raises(InputError, match="at most the training split's 23 pairs, found 24"):
        data(batch_size=24)


def test_a_batch_without_negatives_trains():
    with pytest.raises(InputError, match="at least 2 to hold a negative, found 1"):
        data(batch_size=1)


def test_an_evaluation_needs_the_training_split():
    class TestOnly(ListCorpus):
        def split(self, name):
            assert name == "test"
            return super().split(name)

    made = CodeSearchData(TestOnly(), BagEncoder())
    made.setup("test")
    queries, codes = made.test_dataloader()
    assert sorted(row for batch in queries for row in batch["row"].tolist()) == list(range(7))
    assert sorted(row for batch in codes for row in batch["row"].tolist()) == list(range(12))


def test_the_collate_function_does_not_pickle_for_spawned_workers():
    collate = data(estimator=BM25Estimator()).train_dataloader().collate_fn
    assert pickle.loads(pickle.dumps(collate))([0, 1])["similarity"].shape == (2, 2)


def test_copies_of_a_code_are_embedded_twice_and_need_not_tie():
    made = CodeSearchData(ListCorpus(), BagEncoder(), eval_batch_size=2)
    texts = ["a b c", "d", "a b c", "e f", "d", "a b c"]
    seen = {}
    for batch in made._text_loader(texts, made.encoder.codes):
        for row, place in zip(batch["row"].tolist(), batch["place"].tolist()):
            seen[row] = [x for x in batch["features"]["ids"][place].tolist() if x]
    assert [seen[row] for row in range(6)] == [
        [x for x in ids if x] for ids in made.encoder.codes(texts)["ids"].tolist()
    ]
    assert sum(len(b["features"]["ids"]) for b in made._text_loader(texts, made.encoder.codes)) == 3
