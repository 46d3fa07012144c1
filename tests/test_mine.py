"""Hard negatives found by a model: guards by hand, and the command from a finished run to a training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from src.config.checks import check
from src.config.compose import compose_config
from src.corpora.base import Pair, Split
from src.training.mining import NegativeFilter, mine
from src.utils.errors import InputError
from src.weights.base import Estimator
from tests.support.commands import QUICK, run_command
from tests.support.doubles import write_corpus


class Told(Estimator):
    """Similarity by hand."""

    def __init__(self, similarity) -> None:
        self.similarity_NN = np.array(similarity, dtype=np.float32)

    def fit(self, pairs):
        pass

    def similarity(self, rows, columns):
        return self.similarity_NN[np.ix_(rows, columns)]


# Scores of query 0, by its first entry: 1.0 its own, then 0.97, 0.9, 0.8, 0.8 (again, the code of pair 3), 0.1.
SCORES = (1.0, 0.97, 0.9, 0.8, 0.8, 0.1)
CODES = ("own", "near", "b", "c", "c", "far")


def split(languages=("python",) * 6, queries=("q0", "q1", "q2", "q3", "q4", "q5")) -> Split:
    return Split("train", [Pair(q, c, f"p{i}", lang) for i, (q, c, lang) in enumerate(zip(queries, CODES, languages))])


def found(train: Split | None = None, estimator: Estimator | None = None, **guards):
    queries_ND = torch.tensor([[1.0, 0.0]] + [[0.0, 1.0]] * 5)
    codes_ND = torch.tensor([[score, 0.0] for score in SCORES])
    return mine(
        train or split(), queries_ND, codes_ND, estimator, NegativeFilter(**{"depth": 5, "per_query": 3, **guards})
    )


def test_codes_near_the_score_of_the_answer_and_the_answer_itself_are_no_negatives():
    made = found()
    assert made.negatives[0] == [2, 3, 5]  # 0.97 is not below 0.95 of 1.0, and codes 3 and 4 are one
    assert found(margin=1.0).negatives[0] == [1, 2, 3]
    assert found(margin=0.85).negatives[0] == [3, 5]


def test_the_hardest_negatives_come_first_up_to_the_requested_number():
    assert found(per_query=1).negatives[0] == [2]
    assert found(depth=3).negatives[0] == [2]  # of the three best, own and near are left out


def test_a_code_that_answers_the_same_words_is_no_negative():
    assert found(split(queries=("q0", "q1", "q0", "q3", "q4", "q5"))).negatives[0] == [3, 5]


def test_a_code_whose_other_query_is_similar_is_no_negative():
    similarity = np.eye(6) * 4.0
    similarity[0, 4] = 2.0  # half of its own: pair 4 holds the code of pair 3
    similarity[0, 2] = 1.9
    assert found(estimator=Told(similarity)).negatives[0] == [2, 5]
    assert found(estimator=Told(similarity), most_alike=0.51).negatives[0] == [2, 3, 5]
    similarity[0] = 0.0  # a query without words is alike nobody, itself included
    assert found(estimator=Told(similarity)).negatives[0] == [2, 3, 5]


def test_negatives_come_from_the_language_of_the_query():
    languages = ("python", "go", "python", "go", "go", "python")
    made = found(split(languages))
    assert made.negatives[0] == [2, 5]
    assert all(languages[i] == languages[j] for i, items in enumerate(made.negatives) for j in items)


def test_the_margin_lowers_the_limit_of_an_answer_with_a_score_below_zero():
    limits = NegativeFilter(margin=0.9).score_limits(np.array([2.0, 0.0, -2.0]))
    np.testing.assert_allclose(limits, [1.8, 0.0, -2.2])


def test_the_summary_counts_candidates_known_answers_and_negatives():
    train = split()
    made = found(train, Told(np.eye(6)))
    kept = sum(map(len, made.negatives))
    summary = made.summary(NegativeFilter(depth=5, per_query=3))
    assert summary["candidates"] == 6 * 5
    assert summary["dropped/known answers"] == 6
    assert summary["negatives"] == kept
    assert summary["hardest/score_ratio_to_positive"] == pytest.approx(0.9)


def test_more_negatives_than_candidates_are_refused():
    with pytest.raises(InputError, match="per_query=9 are chosen among depth=8 candidates"):
        NegativeFilter(depth=8, per_query=9)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("depth=0", "depth: expected a whole number of 1 or more, found 0"),
        ("margin=0", "margin: expected a number above 0 and up to 1, found 0"),
        ("margin=null", "margin: expected a number above 0 and up to 1, found null"),
        ("most_alike=2", "most_alike: expected a number above 0 and up to 1 or null, found 2"),
    ],
)
def test_a_filter_out_of_its_range_is_refused(override, message):
    with pytest.raises(InputError, match=message):
        check(compose_config("mine", ["run=x", override]), "mine")


def test_a_finished_run_gives_negatives_to_train_on(tmp_path):
    root = write_corpus(tmp_path / "corpus")
    options = (*QUICK, "corpus=codesearchnet", f"corpus.root={root}", "data.batch_size=16", "trainer.max_epochs=1")
    assert run_command("train", tmp_path / "run", *options).status == 0
    made = run_command("mine", tmp_path / "mined", f"run={tmp_path / 'run'}", "per_query=3", "depth=16")
    assert made.status == 0, made.errors
    file = tmp_path / "mined" / "negatives.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 67
    assert sum(len(line["negatives"]) for line in lines) > 67
    assert all(line["query"] not in line["negatives"] for line in lines)
    assert f"negatives.mined={file}" in made.output
    summary = json.loads((tmp_path / "mined" / "summary.json").read_text())
    assert summary["queries"] == 67
    ways = {
        "whole": (),
        "chunks": ("trainer.grad_cache_chunk=4",),
        "mixture": ("weights=mixture", "weights.shares.simcse=0", "weights.shares.trained_model=0"),
    }
    for name, more in ways.items():
        trained = run_command("train", tmp_path / name, *options, f"negatives.mined={file}", *more)
        assert trained.status == 0, trained.errors
    ranks = [(tmp_path / name / "test_ranks.csv").read_bytes() for name in ("whole", "chunks")]
    assert ranks[0] == ranks[1]  # in the memory of four texts, the same training
    fewer = write_corpus(tmp_path / "fewer", train=61)
    other = run_command("train", tmp_path / "other", *options, f"corpus.root={fewer}", f"negatives.mined={file}")
    assert other.status == 2
    assert "these negatives belong to the training split" in other.errors
    assert len(other.errors.splitlines()) == 1
