"""Planted batches hold what they promise; ordinary ones are those of a training."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from src.analysis.estimators.batches import planted_batches, training_batches
from src.data.samplers import RandomBatches
from src.datamodule import CodeSearchData
from tests.support.doubles import BagEncoder, ListCorpus


def cliques(items: int, size: int) -> csr_array:
    """Consecutive items know each other in groups of `size`; the last third knows nothing."""
    group = np.arange(items) // size
    known = (group[:, None] == group[None, :]) & (np.arange(items) < 2 * items // 3)[:, None]
    known &= known.T
    np.fill_diagonal(known, False)
    return csr_array(known)


@pytest.mark.parametrize(("items", "size", "columns"), [(97, 2, 32), (97, 5, 32), (47, 7, 47), (13, 3, 4)])
def test_a_planted_batch_has_distinct_items_and_a_partner_of_every_anchor(items, size, columns):
    known_SS = cliques(items, size)
    batches = planted_batches(known_SS, columns, most=1000, seed=3)
    for batch in batches:
        assert len(batch.column_C) == len(set(batch.column_C.tolist())) == columns
        assert (batch.own_BC.sum(axis=1) == 1).all()
        assert batch.among(known_SS).any(axis=1).all()
    rows = np.concatenate([batch.row_B for batch in batches])
    assert sorted(rows) == np.flatnonzero(known_SS.sum(axis=1)).tolist()  # each anchor once


def test_as_many_rows_are_planted_as_asked_for_and_the_same_for_a_seed():
    first, again = (planted_batches(cliques(97, 3), 32, most=11, seed=5) for _ in range(2))
    assert sum(len(batch.row_B) for batch in first) == 11
    assert [batch.column_C.tolist() for batch in first] == [batch.column_C.tolist() for batch in again]


def test_ordinary_batches_are_those_of_a_training():
    data = CodeSearchData(ListCorpus(), BagEncoder(), batch_size=7, seed=11)
    data.setup("fit")
    sent = data.train_dataloader()
    seen: list[list[int]] = []
    sent.collate_fn = seen.append
    for _ in range(2):
        list(sent)
    made = training_batches(RandomBatches(), None, 23, 7, number=5, seed=11)
    assert [batch.row_B.tolist() for batch in made] == seen[:5]
