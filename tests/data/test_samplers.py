"""The order that puts alike items into the same batch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from src.corpora.base import Pair
from src.data import samplers
from src.data.samplers import NearestNeighbourSampler, nearest
from src.utils.errors import InputError, NonFiniteError
from src.weights.bm25 import BM25Estimator
from tests.support.doubles import sentences


class Table:
    """A similarity held as a matrix, which remembers the sizes it was asked for."""

    def __init__(self, similarity_NN: np.ndarray) -> None:
        self.similarity_NN, self.sizes = similarity_NN, []

    def __call__(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        self.sizes.append((len(rows), len(columns)))
        return self.similarity_NN[np.ix_(rows, columns)]


def noise(number: int, seed: int = 0) -> Table:
    """Asymmetric, all different."""
    return Table(np.random.default_rng(seed).random((number, number), dtype=np.float32))


def clusters(number: int, size: int) -> Table:
    """Items with the same remainder of their index are alike."""
    cluster_N = np.arange(number) % (number // size)
    return Table((cluster_N[:, None] == cluster_N).astype(np.float32))


def groups(order: np.ndarray, size: int) -> list[list[int]]:
    return [order[i : i + size].tolist() for i in range(0, len(order), size)]


@pytest.mark.parametrize(("number", "group", "pool"), [(53, 4, 64), (53, 3, 17), (3, 2, 5), (1, 1, 2), (13, 13, 13)])
def test_every_item_comes_exactly_once(number, group, pool):
    order = NearestNeighbourSampler(noise(number), number, group, pool, neighbours=5)
    assert len(order) == number
    assert sorted(order) == list(range(number))


@pytest.mark.parametrize("neighbours", [3, 5, 32])
def test_clusters_stay_together(neighbours):
    for epoch in range(5):
        order = NearestNeighbourSampler(clusters(28, 4), 28, group=4, neighbours=neighbours).order(epoch)
        assert all(len({i % 7 for i in group}) == 1 for group in groups(order, 4))


def test_the_nearest_items_are_ranked_by_the_row_of_an_item():
    # 0 is nearest to 3 (0.9), then 1; 2 to 4, then 3. Read by column, 0 would be nearest to 1, and 2 to 0.
    similarity = np.zeros((5, 5), dtype=np.float32)
    similarity[0, [3, 1]] = 0.9, 0.8
    similarity[2, [4, 3]] = 0.7, 0.6
    similarity[1, 0] = similarity[0, 2] = 0.1
    near = nearest(Table(similarity), np.arange(5), 2)
    assert near[[0, 2]].tolist() == [[3, 1], [4, 3]]


def test_equal_similarities_spread_items_over_different_neighbours():
    table = Table(np.ones((7, 7), dtype=np.float32))
    assert nearest(table, np.arange(7), 2).tolist() == [[1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 0], [0, 1]]
    table.similarity_NN[:, 5] = 2
    assert nearest(table, np.arange(7), 2)[[0, 5]].tolist() == [[5, 1], [6, 0]]


def test_an_item_is_never_its_own_neighbour():
    table = Table(np.full((5, 5), -np.inf, dtype=np.float32))
    assert not (nearest(table, np.arange(5), 4) == np.arange(5)[:, None]).any()
    assert (table.similarity_NN == -np.inf).all()
    sure = Table(np.eye(5, dtype=np.float32))
    nearest(sure, np.arange(5), 2)
    assert sure.similarity_NN.trace() == 5  # the estimator's own array is left alone


def test_seed_and_epoch_determine_the_order():
    def order(seed, epoch):
        return NearestNeighbourSampler(noise(53), 53, seed=seed, pool=31).order(epoch).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(*key)) for key in [(1, 2), (1, 3), (2, 2), (3, 1)]}) == 4


def test_the_order_advances_with_every_epoch_and_follows_set_epoch():
    one, other = (NearestNeighbourSampler(noise(29), 29) for _ in range(2))
    advancing = [list(one) for _ in range(3)]
    assert advancing[0] != advancing[1]
    other.set_epoch(2)
    assert list(other) == list(other) == advancing[2]
    assert list(pickle.loads(pickle.dumps(other))) == advancing[2]


def test_a_pool_compares_only_its_own_items(monkeypatch):
    monkeypatch.setattr(samplers, "BLOCK", 97)
    table = noise(101)
    NearestNeighbourSampler(table, 101, pool=31, neighbours=3).order(0)  # 4 pools: 26, 25, 25, 25
    assert max(columns for _, columns in table.sizes) == 26
    assert max(rows * columns for rows, columns in table.sizes) <= 97
    assert sum(rows for rows, columns in table.sizes if columns in (25, 26)) == 101


def test_pools_differ_between_epochs():
    # 2 pools of 14 cannot hold all of 7 clusters of 4 whole; which ones they do hold must change
    order = NearestNeighbourSampler(clusters(28, 4), 28, group=4, pool=14)
    whole = [{g[0] % 7 for g in groups(order.order(e), 4) if len({i % 7 for i in g}) == 1} for e in range(7)]
    assert len(set(map(frozenset, whole))) > 1


def test_the_neighbours_of_a_single_pool_are_computed_once():
    table = noise(53)
    order = NearestNeighbourSampler(table, 53, neighbours=5)
    for epoch in range(3):
        order.order(epoch)
    assert sum(columns == 53 for _, columns in table.sizes) == 1


def test_full_groups_stay_within_one_pool():
    # 3 pools of 11, 11, 11 leave 3 items each: 6 full groups of 4 first, then 9 items
    order = NearestNeighbourSampler(clusters(33, 11), 33, group=4, pool=11, neighbours=10)
    full = groups(order.order(0)[:24], 4)
    pools = {frozenset(p.tolist()) for p in np.array_split(np.random.default_rng([0, 0]).permutation(33), 3)}
    assert all(any(set(group) <= pool for pool in pools) for group in full)


def test_items_near_to_everything_need_few_passes():
    popularity = np.arange(997, dtype=np.float32)
    table = Table(np.broadcast_to(popularity, (997, 997)))  # the same items are everybody's nearest
    assert sorted(NearestNeighbourSampler(table, 997, neighbours=3)) == list(range(997))
    assert len(table.sizes) <= 9


def test_groups_of_one_never_call_the_estimator():
    def never(rows, columns):
        raise AssertionError

    orders = [NearestNeighbourSampler(never, 23, group=1).order(epoch).tolist() for epoch in range(2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == list(range(23))


def test_groups_of_bm25_neighbours_are_more_similar_than_random_ones():
    estimator = BM25Estimator(normalize="self")
    estimator.fit([Pair(query, code, f"q{i}", "python", f"c{i}") for i, (query, code) in enumerate(sentences(131))])

    def within(order):
        blocks = [estimator.similarity(np.array(g), np.array(g)) for g in groups(order, 4)[:32]]
        return np.mean([block[~np.eye(4, dtype=bool)].mean() for block in blocks])

    chance, pooled, exact = (
        within(NearestNeighbourSampler(estimator.similarity, 131, **options).order(1))
        for options in ({"group": 1}, {"pool": 67}, {})
    )
    assert 1.3 * chance < pooled < exact  # every sentence shares its small words with all


def test_bad_groups_and_similarities_are_refused():
    with pytest.raises(InputError, match="at most the 7 training pairs, found 8"):
        NearestNeighbourSampler(noise(7), 7, group=8)
    table = noise(7)
    table.similarity_NN[3, 3] = np.nan  # its own: ignored
    NearestNeighbourSampler(table, 7).order(0)
    table.similarity_NN[3, 5] = np.nan
    with pytest.raises(NonFiniteError, match="found NaN for items 3 and 5"):
        NearestNeighbourSampler(table, 7).order(0)
