"""The BM25 estimator: which texts it compares, normalisation, edge cases, and what its blocks cost."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from rank_bm25 import BM25Okapi

from src.config.checks import check_part
from src.config.compose import compose_config
from src.corpora.base import Pair
from src.utils.errors import InputError
from src.utils.subtokens import subtokens
from src.weights.bm25 import Between, BM25Estimator, Normalize, Statistics
from src.weights.none import NoEstimator

STATISTICS, NORMALIZE = get_args(Statistics), get_args(Normalize)

TEXTS = [  # 7 pairs
    ("read a text file", "def readFile(path): return open(path).read()"),
    ("read a csv file", "def read_csv(path): return rows(path)"),
    ("sort a list", "def sortList(items): return sorted(items)"),
    ("", "pass"),
    ("sort sort sort", "def sort(x): return sort(sort(x))"),
    ("parse json", ""),
    ("write text", "def write_text(path, text): open(path).write(text)"),
]
PAIRS = [Pair(query, code, str(index), "python") for index, (query, code) in enumerate(TEXTS)]
ROWS, COLUMNS = np.array([4, 0, 2]), np.array([0, 1, 2, 6, 4])  # B = 3, C = 5: rows in another order than columns
CONF = Path(__file__).parents[2] / "conf" / "weights"


def fitted(pairs=PAIRS, **options):
    estimator = BM25Estimator(**options)
    estimator.fit(pairs)
    return estimator


def okapi(between, pairs=PAIRS):
    """rank-bm25's score of every row text for every column text."""
    row, column = between.split("_")
    index = BM25Okapi([subtokens(getattr(pair, column)) for pair in pairs])
    return np.array([index.get_scores(subtokens(getattr(pair, row))) for pair in pairs])


@pytest.mark.parametrize("between", get_args(Between))
def test_similarities_equal_those_of_rank_bm25(between):
    similarity_BC = fitted(between=between).similarity(ROWS, COLUMNS)
    assert similarity_BC.shape == (3, 5)
    assert similarity_BC.dtype == np.float32
    np.testing.assert_allclose(similarity_BC, okapi(between)[np.ix_(ROWS, COLUMNS)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("between", get_args(Between))
def test_self_normalisation_divides_by_the_rows_own_score(between):
    score = okapi(between)
    own = score.diagonal()[:, None]
    expected = np.where(own > 0, score / np.where(own > 0, own, 1), 0)
    similarity = fitted(between=between, normalize="self").similarity(ROWS, COLUMNS)
    np.testing.assert_allclose(similarity, expected[np.ix_(ROWS, COLUMNS)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("between", ["query_query", "code_code"])
def test_self_normalisation_gives_a_text_similarity_one_to_itself(between, statistics):
    similarity = fitted(between=between, statistics=statistics, normalize="self").similarity(ROWS, np.arange(7))
    np.testing.assert_allclose(similarity[np.arange(3), ROWS], 1, rtol=1e-6)


def test_self_normalisation_does_not_need_the_own_document_among_the_columns():
    columns = np.array([1, 6, 5])
    whole = fitted(normalize="self").similarity(ROWS, np.arange(7))
    np.testing.assert_allclose(fitted(normalize="self").similarity(ROWS, columns), whole[:, columns], rtol=1e-6)
    assert np.isfinite(fitted(normalize="self", statistics="batch").similarity(ROWS, columns)).all()


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("normalize", NORMALIZE)
def test_an_empty_text_is_similar_to_nothing(normalize, statistics):
    similarity = fitted(normalize=normalize, statistics=statistics).similarity(np.arange(7), np.arange(7))
    assert not similarity[3].any()
    assert not similarity[:, 3].any()


def test_rows_with_a_negative_own_score_are_normalised_to_zero():
    # Every query says the same word: its idf among the columns is negative, and so is every own score.
    pairs = [Pair("word", "code", str(index), "python") for index in range(5)]
    assert (fitted(pairs, statistics="batch").similarity(np.arange(3), np.arange(5)) < 0).all()
    assert not fitted(pairs, statistics="batch", normalize="self").similarity(np.arange(3), np.arange(5)).any()


def test_batch_statistics_read_the_batch_alone():
    few = fitted(PAIRS[:5], statistics="batch").similarity(np.array([0, 4]), np.array([0, 2, 4]))
    many = fitted(PAIRS * 3, statistics="batch").similarity(np.array([0, 4]), np.array([0, 2, 4]))
    np.testing.assert_array_equal(few, many)


def test_corpus_statistics_do_not_depend_on_the_batch():
    estimator = fitted()
    whole = estimator.similarity(np.arange(7), np.arange(7))
    np.testing.assert_array_equal(estimator.similarity(ROWS, COLUMNS), whole[np.ix_(ROWS, COLUMNS)])


words = st.lists(st.sampled_from(["get", "set", "file", "list", "of"]), max_size=7).map(" ".join)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(words, words), min_size=2, max_size=7),
    st.sampled_from(get_args(Between)),
    st.sampled_from(STATISTICS),
    st.sampled_from(NORMALIZE),
    st.randoms(use_true_random=False),
)
def test_similarities_are_finite_and_do_not_depend_on_the_batch_order(texts, between, statistics, normalize, random):
    pairs = [Pair(query, code, str(index), "python") for index, (query, code) in enumerate(texts)]
    estimator = fitted(pairs, between=between, statistics=statistics, normalize=normalize)
    rows = np.arange(len(pairs))
    similarity = estimator.similarity(rows, rows)
    assert np.isfinite(similarity).all()
    order = np.array(random.sample(range(len(pairs)), len(pairs)))
    np.testing.assert_allclose(estimator.similarity(rows[order], rows), similarity[order], rtol=1e-6)
    np.testing.assert_allclose(estimator.similarity(rows, rows[order]), similarity[:, order], rtol=1e-6)


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_pickled_estimator_gives_the_same_similarities(statistics):
    estimator = fitted(statistics=statistics, normalize="self")
    copy = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(copy.similarity(ROWS, COLUMNS), estimator.similarity(ROWS, COLUMNS))


def test_the_given_tokenizer_splits_the_texts():
    split = fitted(tokenizer=str.split, between="query_code").similarity(np.array([0]), np.array([0]))
    assert split.item() == 0  # no word of the query is a whole word of the code
    assert fitted(between="query_code").similarity(np.array([0]), np.array([0])).item() > 0


def test_a_fitted_estimator_holds_no_matrix_of_all_pairs():
    pairs = [Pair(f"word{index} word{index % 7} common", "code", str(index), "python") for index in range(4000)]
    assert len(pickle.dumps(fitted(pairs))) < 4000 * 100  # an N x N matrix would take 4000 * 4000 * 4


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("between=query_queri", "weights.between: .*'query_queri'; did you mean 'query_query'"),
        ("statistics=batches", "weights.statistics: .*'batches'; did you mean 'batch'"),
        ("normalize=own", "weights.normalize: expected none or self, found 'own'"),
        ("normalize=null", "weights.normalize: expected none or self, found null"),
    ],
)
def test_an_unknown_option_is_refused_and_the_known_ones_are_named(option, message):
    with pytest.raises(InputError, match=message) as error:
        check_part("weights", compose_config("train", ["weights=bm25", f"weights.{option}"]).weights)
    assert "\n" not in str(error.value)


def test_fitting_on_nothing_is_refused():
    with pytest.raises(InputError, match="expected training pairs"):
        fitted([])


def test_weights_none_refuses_a_similarity_and_suggests_bm25():
    estimator = NoEstimator()
    estimator.fit(PAIRS)
    with pytest.raises(InputError, match="choose weights=bm25"):
        estimator.similarity(ROWS, COLUMNS)


@pytest.mark.parametrize("name", ["bm25", "none"])
def test_a_shipped_config_builds_an_estimator_that_can_be_pickled(name):
    estimator = instantiate(OmegaConf.load(CONF / f"{name}.yaml"))
    estimator.fit(PAIRS)
    assert isinstance(pickle.loads(pickle.dumps(estimator)), type(estimator))


def test_the_scale_multiplies_the_similarities():
    plain, scaled = BM25Estimator(normalize="self"), BM25Estimator(normalize="self", scale=7.0)
    plain.fit(PAIRS)
    scaled.fit(PAIRS)
    np.testing.assert_allclose(
        scaled.similarity(ROWS, COLUMNS), 7 * plain.similarity(ROWS, COLUMNS), rtol=1e-6, atol=1e-6
    )
    assert scaled.similarity(ROWS, COLUMNS).dtype == np.float32
