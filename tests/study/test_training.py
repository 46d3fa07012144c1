"""Small trainings go through the project's own code, and what is measured of them is right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from src.corpora.base import Pair
from src.study.training import Shuffled, configuration, divergence, fitted_estimator, scores, trained
from src.weights.bm25 import BM25Estimator
from tests.support.doubles import ListCorpus

SMALL = ("data.batch_size=8", "cache=null")


def test_a_configuration_records_what_was_chosen():
    cfg = configuration("loss=infonce", "trainer.max_epochs=3")
    assert (cfg.choices.loss, cfg.choices.weights, cfg.choices.corpus) == ("infonce", "bm25", "stdlib")
    assert (cfg.trainer.max_epochs, cfg.data.num_workers) == (3, 0)
    assert "hydra" not in cfg


def test_an_estimator_is_fitted_without_printing(capsys):
    pairs = ListCorpus().split("train").pairs
    items = np.arange(5)
    expected = BM25Estimator(normalize="self", scale=10.0)
    expected.fit(pairs)
    found = fitted_estimator(configuration(), pairs)
    np.testing.assert_array_equal(found.similarity(items, items), expected.similarity(items, items))
    assert capsys.readouterr().out == ""


def test_shuffling_changes_only_the_places_of_the_similarities():
    pairs = ListCorpus().split("train").pairs
    plain, dealt = BM25Estimator(normalize="self"), Shuffled(BM25Estimator(normalize="self"), seed=1)
    plain.fit(pairs)
    dealt.fit(pairs)
    items = np.arange(len(pairs))
    a_NN, b_NN = plain.similarity(items, items), dealt.similarity(items, items)
    np.testing.assert_allclose(np.sort(a_NN.ravel()), np.sort(b_NN.ravel()))
    assert not np.allclose(a_NN, b_NN)
    np.testing.assert_allclose(b_NN.diagonal(), 1, rtol=1e-6)  # an item is as alike as itself to itself


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_training_returns_every_number_without_printing(capsys, shuffle):
    found = trained(configuration(*SMALL), ListCorpus(), shuffle)
    assert found.numbers.keys() == {"val/mrr", "val/alignment", "val/uniformity"}
    assert 0 < found.numbers["val/mrr"] <= 1
    assert 0 <= found.numbers["val/alignment"] <= 4
    assert capsys.readouterr().out == ""


def test_infonce_trains_the_same_model_as_soft_infonce_with_alpha_zero():
    corpus = ListCorpus()
    models = [trained(configuration(*SMALL, "loss=infonce"), corpus) for _ in range(2)]
    soft = trained(configuration(*SMALL, "loss.alpha=0"), corpus)
    states = [model.module.state_dict() for model in (*models, soft)]
    assert all(torch.equal(states[0][name], other[name]) for other in states[1:] for name in states[0])


def test_scores_are_those_of_the_given_pairs():
    module = trained(configuration(*SMALL), ListCorpus()).module
    pairs = [Pair(f"query {i} of open", f"def f{i}(): open()", f"q{i}", "python") for i in range(3)]
    scores_BC = scores(module, pairs)
    assert scores_BC.shape == (3, 3)
    torch.testing.assert_close(scores(module, pairs[1:])[0, 0], scores_BC[1, 1])
    assert scores_BC.abs().max() <= 20.001  # cosine x 20


def test_the_divergence_is_that_of_kullback_and_leibler():
    # the first row: estimated 4/5, 1/5 on columns 1, 2; predicted 1/4, 3/4
    scores_BC = torch.tensor([[9.0, 0.0, math.log(3)], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    similarity_BC = torch.tensor([[7.0, math.log(4), 0.0], [1.0, 5.0, 1.0], [0.0, math.log(3) / 2, 0.0]])
    expected = 0.8 * math.log(0.8 / 0.25) + 0.2 * math.log(0.2 / 0.75)
    found_B = divergence(scores_BC, similarity_BC)
    assert found_B[0].item() == pytest.approx(expected, abs=1e-6)
    assert found_B[1].item() == pytest.approx(0.0, abs=1e-6)
    # the third at t = 1/2: 1/4, 3/4 against 1/2, 1/2
    at_half = divergence(scores_BC, similarity_BC, 0.5)[2].item()
    assert at_half == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-6)
