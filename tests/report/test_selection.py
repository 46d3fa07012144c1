"""What a reader is told of the choice."""

from __future__ import annotations

import csv
import re

import pytest

from tests.report.runs import make_run
from tests.support.commands import direct

main = direct("report")

RANKS = {"a": 1, "b": 2, "c": 4}


@pytest.fixture
def tuned(tmp_path):
    """InfoNCE as it is, and Soft-InfoNCE with three learning rates, of which 0.2 is best on valid."""
    for seed in (1, 2):
        make_run(tmp_path, "infonce", seed, RANKS)
        for rate, val_mrr in ((0.1, 0.4), (0.2, 0.625), (0.3, 0.3)):
            make_run(tmp_path / str(rate), "soft_infonce", seed, RANKS, learning_rate=rate, val_mrr=val_mrr)
    return tmp_path


def test_a_choice_and_its_budget_are_stated_in_every_output(tuned, capsys):
    assert main([str(tuned)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    page = (tuned / "report" / "report.html").read_text()
    for text in (shown, page, (tuned / "report" / "report.md").read_text()):
        assert "chosen by val/mrr, never by test: 6 runs" in text
        assert "1 to 3 recipes a row" in text
        assert "Budgets differ within stdlib / python / tiny: a row that tried more is favoured" in text
        assert [text.index(f"optimizer.learning_rate={rate}") for rate in (0.2, 0.1, 0.3)] == sorted(
            text.index(f"optimizer.learning_rate={rate}") for rate in (0.1, 0.2, 0.3)
        )
    assert "the recipe with the best val/mrr is shown" in page
    assert re.search(r"learning_rate=0.2</td><td>0.6250</td><td>1 2</td><td>chosen", page)
    with (tuned / "report" / "report.csv").open(newline="") as file:
        plain, soft = csv.DictReader(file)
    assert (plain["recipes"], plain["recipe"]) == ("1", "")
    assert (soft["recipes"], soft["recipe"]) == ("3", "optimizer.learning_rate=0.2")
    assert "% Hyper-parameters were chosen" in (tuned / "report" / "report.tex").read_text()


def test_equal_budgets_are_stated_as_equal(tuned):
    for seed in (1, 2):
        for rate in (0.1, 0.2):
            make_run(tuned / str(rate), "infonce", seed, RANKS, learning_rate=rate)
    assert main([str(tuned)]) == 0
    text = (tuned / "report" / "report.md").read_text()
    assert "12 runs of recipes to choose from, 3 recipes for every row." in text
    assert "favoured" not in text


def test_a_choice_without_a_common_seed_is_stated(tmp_path):
    make_run(tmp_path / "a", "infonce", 1, RANKS, learning_rate=0.1)
    make_run(tmp_path / "b", "infonce", 2, RANKS, learning_rate=0.2)
    assert main([str(tmp_path)]) == 0
    assert "No seed is common to the recipes of infonce" in (tmp_path / "report" / "report.md").read_text()


def test_runs_of_one_recipe_mention_no_choice(root, capsys):
    assert main([str(root)]) == 0
    assert "recipes" not in capsys.readouterr().out
    page = (root / "report" / "report.html").read_text()
    assert "every finished run is in a table" in page
    assert "recipe" not in page
    assert "| recipes tried |" not in (root / "report" / "report.md").read_text()
