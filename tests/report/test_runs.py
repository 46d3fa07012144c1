"""What of a folder is a run, and which runs may share a table."""

from __future__ import annotations

import json

import pytest

from src.errors import InputError
from src.report.__main__ import main
from src.report.runs import cells, find_runs
from tests.report.runs import make_run

RANKS = {"a": 1, "b": 2, "c": 4}


def found(*roots, **options):
    return cells(find_runs(roots)[0], **options)


def test_a_failed_run_counts_or_is_not_named(root, capsys):
    make_run(root, "infonce", 9, RANKS, status={"status": "failed", "error": "InputError: no such corpus"})
    make_run(root, "infonce", 8, RANKS, status="running")
    runs, left_out = find_runs([root])
    assert sorted(run.seed for run in runs if run.name == "infonce") == [1, 2]
    assert [(str(run.path), run.why) for run in left_out] == [
        *(("infonce-8", "running"), ("infonce-9", "failed: InputError: no such corpus"))
    ]
    assert main([str(root)]) == 0
    assert "infonce-9 (failed: InputError: no such corpus)" in capsys.readouterr().out
    page = (root / "report" / "report.html").read_text()
    assert "infonce-9" in page
    assert "no such corpus" in page


def test_a_failed_evaluation_is_a_failed_run(root):
    folder = root / "eval"
    folder.mkdir()
    (folder / "status.json").write_text(json.dumps({"status": "failed", "error": "x"}))
    (folder / "config.yaml").write_text("run: somewhere\n")
    assert find_runs([root])[1] == []
    (folder / "config.yaml").unlink()  # it got too short a way to tell
    assert len(find_runs([root])[1]) == 1


def test_an_attempt_that_a_sweep_has_replaced_is_named_as_failed(root):
    make_run(root / "replaced", "infonce", 1, RANKS, status={"status": "replaced", "was": "failed"})
    runs, left_out = find_runs([root])
    assert (len(runs), left_out) == (4, [])


def test_a_run_below_two_paths_counts_twice(root):
    assert len(find_runs([root, root / "infonce-1", root])[0]) == 4


def test_two_pools_share_a_table(root, capsys):
    make_run(root, "infonce", 9, RANKS, pool="other")
    with pytest.raises(InputError, match=r"different pools \(other, abc\)"):
        found(root)
    assert main([str(root)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--mix-pools" in error


def test_pools_that_may_be_mixed_are_compared_with_each_other(root):
    make_run(root, "soft_infonce", 1, {"a": 4, "b": 4, "c": 4}, pool="other")
    tables = found(root, mix_pools=True)
    assert {setting[0] for setting in tables} == {"stdlib", "stdlib (other)"}
    assert [cell.seeds for cell in tables["stdlib", "python", "tiny"]] == [[1, 2], [2, 3]]


def test_other_queries_of_one_pool_share_a_table(root):
    make_run(root, "infonce", 9, {"a": 1, "b": 2})
    with pytest.raises(InputError, match=r"different queries \(2 and 3\)"):
        found(root)
    assert len(found(root, mix_pools=True)) == 2
    make_run(root, "infonce", 10, {"a": 1})
    with pytest.raises(InputError, match="different queries"):
        found(root, mix_pools=True)


def test_runs_with_other_training_pairs_share_a_table(tmp_path):
    make_run(tmp_path, "infonce", 1, RANKS, train="all")
    make_run(tmp_path, "soft_infonce", 1, RANKS, train="fewer")
    with pytest.raises(InputError, match="trained on different pairs"):
        found(tmp_path)
    assert len(found(tmp_path, mix_pools=True)) == 2


def test_another_learning_rate_passes_for_another_seed(root):
    make_run(root, "infonce", 9, RANKS, learning_rate=0.5)
    with pytest.raises(InputError, match=r"differ in optimizer\.learning_rate"):
        found(root)


def test_a_loss_may_not_have_a_recipe_of_its_own(root):
    make_run(root, "bce", 1, RANKS, learning_rate=0.5)
    (row_cells,) = found(root).values()
    assert [cell.name for cell in row_cells] == ["infonce", "bce bm25", "soft_infonce bm25"]


def test_a_seed_counts_twice(root, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    make_run(again, "infonce", 1, RANKS)
    with pytest.raises(InputError, match="seed 1"):
        found(root, again)


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "metrics.json", "test_ranks.csv"])
@pytest.mark.parametrize("text", [None, "", "[1, 2"])
def test_a_damaged_run_is_a_traceback(root, name, text, capsys):
    file = root / "infonce-1" / name
    file.unlink() if text is None else file.write_text(text)
    assert main([str(root)]) == 2
    error = capsys.readouterr().err
    assert "infonce-1 is not a whole run directory" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["status.json", "metrics.csv"])
def test_a_damaged_file_beside_the_results_is_a_traceback(root, name, capsys):
    (root / "infonce-1" / name).write_text("epoch,step,val/mrr\n1,x,0.5\n")
    assert main([str(root)]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert error.count("\n") == 1


def test_a_run_without_a_log_of_epochs_is_refused(tmp_path):
    make_run(tmp_path, "infonce", 1, RANKS, history="")
    (run,) = find_runs([tmp_path])[0]
    assert run.history == {}
    assert main([str(tmp_path)]) == 0


def test_epochs_are_steps(root):
    epoch_E, step_E, mrr_E = find_runs([root / "infonce-1"])[0][0].history["val/mrr"]
    assert (epoch_E.tolist(), step_E.tolist(), mrr_E.tolist()) == ([0, 1], [11, 23], [0.25, 0.5])


def test_two_folders_of_one_reader_share_a_table(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    make_run(other, "infonce", 1, {"x": 1}, pool="xyz", corpus="data/cosqa")
    assert set(found(root, other)) == {("stdlib", "python", "tiny"), ("cosqa", "python", "tiny")}


def test_similar_batches_share_a_row_with_random_ones(root):
    make_run(root, "infonce", 1, {"a": 1, "b": 1, "c": 1}, batching="similar")
    make_run(root, "soft_infonce", 1, {"a": 1, "b": 1, "c": 1}, batching="similar", masked=True)
    (row_cells,) = found(root).values()
    assert [cell.name for cell in row_cells] == [
        *("infonce", "infonce, similar by bm25", "soft_infonce bm25", "soft_infonce bm25, similar, copies masked")
    ]


def test_runs_with_mined_negatives_share_a_row_with_others_or_each_seed_has_its_own(tmp_path):
    (tmp_path / "mined").mkdir()
    for seed in (1, 2):
        make_run(tmp_path, "infonce", seed, RANKS)
        config = make_run(tmp_path / "mined", "infonce", seed, RANKS) / "config.yaml"
        mined = f"negatives: {{mask_duplicates: false, mined: mined_{seed}.jsonl, mined_per_query: 4}}"
        config.write_text(config.read_text().replace("negatives:\n  mask_duplicates: false", mined))
    (row_cells,) = found(tmp_path).values()
    assert [(cell.name, len(cell.runs)) for cell in row_cells] == [("infonce", 2), ("infonce, 4 mined", 2)]
