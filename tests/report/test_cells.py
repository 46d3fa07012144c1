"""Which runs may share a table, and which of a row's hyper-parameters it shows."""

from __future__ import annotations

import pytest

from src.report.cells import cells
from src.report.runs import find_runs
from src.utils.errors import InputError
from tests.report.runs import make_run
from tests.support.commands import direct

main = direct("report")

RANKS = {"a": 1, "b": 2, "c": 4}
BAD = {"a": 7, "b": 7, "c": 7}


def found(*roots, **options):
    return cells(find_runs(roots)[0], **options)


def test_two_pools_are_refused_in_one_table(root, capsys):
    make_run(root, "infonce", 9, RANKS, pool="other")
    with pytest.raises(InputError, match=r"different pools \(other, abc\)"):
        found(root)
    assert main([str(root)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "mix_pools=true" in error


def test_pools_that_may_be_mixed_have_a_table_each(root):
    make_run(root, "soft_infonce", 1, {"a": 4, "b": 4, "c": 4}, pool="other")
    tables = found(root, mix_pools=True)
    assert {setting[0] for setting in tables} == {"stdlib", "stdlib (other)"}
    assert [cell.seeds for cell in tables["stdlib", "python", "tiny"]] == [[1, 2], [2, 3]]


def test_different_queries_of_one_pool_are_refused_in_one_table(root):
    make_run(root, "infonce", 9, {"a": 1, "b": 2})
    with pytest.raises(InputError, match=r"different queries \(2 and 3\)"):
        found(root)
    assert len(found(root, mix_pools=True)) == 2
    make_run(root, "infonce", 10, {"a": 1})
    with pytest.raises(InputError, match="different queries"):
        found(root, mix_pools=True)


def test_runs_with_different_training_pairs_are_refused_in_one_table(tmp_path):
    make_run(tmp_path, "infonce", 1, RANKS, train="all")
    make_run(tmp_path, "soft_infonce", 1, RANKS, train="fewer")
    with pytest.raises(InputError, match="trained on different pairs"):
        found(tmp_path)
    assert len(found(tmp_path, mix_pools=True)) == 2


def test_a_loss_may_have_a_recipe_of_its_own(root):
    make_run(root, "bce", 1, RANKS, learning_rate=0.5)
    (row_cells,) = found(root).values()
    assert [cell.name for cell in row_cells] == ["infonce", "bce bm25", "soft_infonce bm25"]


def test_a_seed_counts_once_and_must_not_have_two_results(root, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    make_run(again, "infonce", 1, RANKS)  # the same run in another sweep
    (row_cells,) = found(root, again).values()
    assert row_cells[0].seeds == [1, 2]
    make_run(again / "other", "infonce", 1, RANKS | {"b": 1})
    with pytest.raises(InputError, match=r"seed 1 and the same hyper-parameters, and differ in their results"):
        found(root, again)


def test_two_folders_of_one_reader_have_a_table_each(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    make_run(other, "infonce", 1, {"x": 1}, pool="xyz", corpus="data/cosqa")
    assert set(found(root, other)) == {("stdlib", "python", "tiny"), ("cosqa", "python", "tiny")}


def test_similar_batches_have_a_row_of_their_own(root):
    make_run(root, "infonce", 1, {"a": 1, "b": 1, "c": 1}, batching="similar")
    make_run(root, "soft_infonce", 1, {"a": 1, "b": 1, "c": 1}, batching="similar", masked=True)
    (row_cells,) = found(root).values()
    assert [cell.name for cell in row_cells] == [
        *("infonce", "infonce, similar by bm25", "soft_infonce bm25", "soft_infonce bm25, similar, copies masked")
    ]


def grid(root, rates, seeds=(1, 2), loss="soft_infonce", **options):
    """Runs of several learning rates: {rate: (val/mrr of each seed)}, all with good test ranks but for the best."""
    best = max(rates, key=lambda rate: sum(rates[rate]))
    for rate, of_seeds in rates.items():
        for seed, val_mrr in zip(seeds, of_seeds):
            ranks = BAD if rate == best else RANKS
            make_run(root / str(rate), loss, seed, ranks, learning_rate=rate, val_mrr=val_mrr, **options)


def test_the_learning_rate_is_chosen_by_the_mean_val_mrr_over_seeds(tmp_path):
    grid(tmp_path, {0.1: (0.7, 0.2), 0.2: (0.5, 0.5), 0.3: (0.6, 0.3)})  # means 0.45, 0.5, 0.45
    ((cell,),) = found(tmp_path).values()
    assert [run.config["optimizer"]["learning_rate"] for run in cell.runs] == [0.2, 0.2]
    assert [str(recipe) for recipe in cell.tried] == [f"optimizer.learning_rate={rate}" for rate in (0.2, 0.1, 0.3)]
    assert [recipe.val_mrr for recipe in cell.tried] == pytest.approx([0.5, 0.45, 0.45])
    assert cell.budget == 3
    assert cell.runs[0].ranks == BAD


def test_the_order_of_folders_does_not_change_the_choice(tmp_path):
    grid(tmp_path, {0.1: (0.7, 0.2), 0.2: (0.5, 0.5), 0.3: (0.6, 0.3)})
    runs, _ = find_runs([tmp_path])
    (one,), (other,) = (next(iter(cells(order).values())) for order in (runs, runs[::-1]))
    assert [str(recipe) for recipe in one.tried] == [str(recipe) for recipe in other.tried]
    assert sorted(one.seeds) == sorted(other.seeds)


def test_recipes_are_compared_on_their_common_seeds(tmp_path):
    grid(tmp_path, {0.1: (0.4, 0.4), 0.2: (0.5, 0.5)})
    make_run(tmp_path / "0.1", "soft_infonce", 3, RANKS, learning_rate=0.1, val_mrr=0.9)
    ((cell,),) = found(tmp_path).values()
    assert cell.decided_by == [1, 2]
    assert [recipe.val_mrr for recipe in cell.tried] == pytest.approx([0.5, 0.4])


def test_recipes_without_a_common_seed_are_decided_by_no_seed(tmp_path):
    grid(tmp_path, {0.1: (0.4,)}, seeds=[1])
    grid(tmp_path, {0.2: (0.5,)}, seeds=[2])
    ((cell,),) = found(tmp_path).values()
    assert (cell.decided_by, cell.seeds) == ([], [2])


def test_a_diverged_recipe_is_not_chosen(tmp_path):
    grid(tmp_path, {0.1: (0.1, 0.1), 0.2: (float("nan"), 0.9)})
    ((cell,),) = found(tmp_path).values()
    assert cell.runs[0].config["optimizer"]["learning_rate"] == 0.1


def test_a_choice_on_different_valid_queries_or_without_val_mrr_is_refused(tmp_path):
    grid(tmp_path / "a", {0.1: (0.4,)}, valid="x")
    grid(tmp_path / "a", {0.2: (0.5,)}, valid="y")
    with pytest.raises(InputError, match="different valid splits"):
        found(tmp_path / "a")
    grid(tmp_path / "b", {0.1: (0.4,)})
    make_run(tmp_path / "b" / "none", "soft_infonce", 1, RANKS, learning_rate=0.2, val_mrr=None)
    with pytest.raises(InputError, match=r"has no val/mrr"):
        found(tmp_path / "b")
    assert len(*found(tmp_path / "b", choose="each").values()) == 2


def test_each_recipe_has_a_row_of_its_own_when_asked_for(tmp_path):
    grid(tmp_path, {0.1: (0.4, 0.4), 0.2: (0.5, 0.5)})
    make_run(tmp_path, "infonce", 1, RANKS)
    (row_cells,) = found(tmp_path, choose="each").values()
    names = ["infonce", *(f"soft_infonce bm25, optimizer.learning_rate={rate}" for rate in (0.1, 0.2))]
    assert [cell.name for cell in row_cells] == names
    assert [cell.tried for cell in row_cells] == [[], [], []]


def test_every_setting_chooses_its_own_recipe(tmp_path):
    grid(tmp_path / "a", {0.1: (0.4,), 0.2: (0.5,)})
    grid(tmp_path / "b", {0.1: (0.5,), 0.2: (0.4,)}, lang="ruby", pool="r")
    chosen = {lang: str(cell.tried[0]) for (_, lang, _), [cell] in found(tmp_path).items()}
    assert chosen == {"python": "optimizer.learning_rate=0.2", "ruby": "optimizer.learning_rate=0.1"}


def test_a_cache_is_not_a_hyper_parameter(root):
    for number, path in enumerate(sorted(root.glob("*/config.yaml"))):
        path.write_text(path.read_text() + f"weights:\n  cache: /somewhere/{number}\n  workers: {number}\n")
    (row_cells,) = found(root).values()
    assert [cell.budget for cell in row_cells] == [1, 1]


def test_runs_with_mined_negatives_have_one_row_of_their_own_for_all_seeds(tmp_path):
    (tmp_path / "mined").mkdir()
    for seed in (1, 2):
        make_run(tmp_path, "infonce", seed, RANKS)
        config = make_run(tmp_path / "mined", "infonce", seed, RANKS) / "config.yaml"
        mined = f"negatives: {{mask_duplicates: false, mined: mined_{seed}.jsonl, mined_per_query: 4}}"
        config.write_text(config.read_text().replace("negatives:\n  mask_duplicates: false", mined))
    (row_cells,) = found(tmp_path).values()
    assert [(cell.name, len(cell.runs)) for cell in row_cells] == [("infonce", 2), ("infonce, 4 mined", 2)]
