"""A comparison of finished runs: paired, over seeds, and never across pools."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from src.errors import InputError
from src.report.__main__ import main, rows
from src.report.runs import cells, find_runs
from src.rundir import RunDirectory


def make_run(
    root: Path,
    loss: str,
    seed: int,
    ranks: dict[str, float],
    pool="abc",
    status="finished",
    corpus=None,
    batching="random",
    masked=False,
):
    run = RunDirectory(root / f"{loss}-{batching}-{masked}-{seed}" if batching != "random" else root / f"{loss}-{seed}")
    choices = {"loss": loss, "weights": "bm25", "lang": "python", "backbone": "tiny", "corpus": "stdlib"}
    choices |= {"batching": batching}
    cfg = {"choices": choices, "seed": seed, "corpus": {"root": corpus}, "negatives": {"mask_duplicates": masked}}
    (run.path / "config.yaml").write_text(yaml.safe_dump(cfg))
    run.write_json("environment.json", {"corpus": {"test_pool_fingerprint": pool}})
    run.write_metrics({"bm25/mrr": 0.25, "bm25/mrr_low": 0.2, "bm25/mrr_high": 0.3, "test/candidates": 7})
    run.write_ranks(list(ranks), list(ranks.values()))
    run.write_json("status.json", {"status": status})
    run.checkpoints.mkdir()
    return run.path


@pytest.fixture
def root(tmp_path):
    make_run(tmp_path, "infonce", 1, {"a": 1, "b": 2, "c": 4})
    make_run(tmp_path, "infonce", 2, {"a": 2, "b": 2, "c": 4})
    make_run(tmp_path, "soft_infonce", 2, {"c": 2, "b": 1, "a": 2})  # another order of queries
    make_run(tmp_path, "soft_infonce", 3, {"a": 1, "b": 1, "c": 1})
    return tmp_path


def test_means_are_not_over_seeds_or_differences_not_paired(root):
    (row_cells,) = cells(find_runs([root])).values()
    plain, soft, bm25 = rows(row_cells)
    assert plain[:3] == ("infonce", "2", f"{(1.75 / 3 + 1.25 / 3) / 2:.3f}")
    assert plain[4] == "0.417 to 0.583"
    assert soft[:3] == ("soft_infonce bm25", "2", f"{(2 / 3 + 1) / 2:.3f}")
    assert soft[5] == f"{(0 + 0.5 + 0.25) / 3:+.4f}"  # seed 2 alone is in both
    assert plain[5:] == ("", "")
    assert bm25[:4] == ("BM25", "", "0.250", "0.200 to 0.300")


def test_a_failed_run_counts(root):
    make_run(root, "infonce", 9, {"a": 7, "b": 7, "c": 7}, status="failed")
    (row_cells,) = cells(find_runs([root])).values()
    assert [run.seed for run in row_cells[0].runs] == [1, 2]


def test_two_pools_share_a_table(root, capsys):
    make_run(root, "infonce", 9, {"a": 1, "b": 2, "c": 4}, pool="other")
    with pytest.raises(InputError, match="different pools"):
        cells(find_runs([root]))
    assert main([str(root)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_seed_counts_twice(root, tmp_path_factory):
    again = tmp_path_factory.mktemp("again")
    make_run(again, "infonce", 1, {"a": 1, "b": 2, "c": 4})
    with pytest.raises(InputError, match="seed 1"):
        cells(find_runs([root, again]))


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "metrics.json", "test_ranks.csv"])
def test_a_damaged_run_is_a_traceback(root, name, capsys):
    (root / "infonce-1" / name).unlink()
    assert main([str(root)]) == 2
    assert "infonce-1 is not a whole run directory" in capsys.readouterr().err


def test_a_folder_without_runs_is_an_empty_page(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "no finished runs" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("options", [[], ["--markdown"]])
def test_the_table_leaves_out_the_pool(root, options, capsys):
    assert main([str(root), *options]) == 0
    shown = capsys.readouterr().out
    assert "3 queries, 7 candidates, pool abc" in shown
    assert "soft_infonce bm25" in shown


def test_a_plot_is_empty_or_fails(root, tmp_path, capsys):
    assert main([str(root), "--plot", str(tmp_path / "d.png")]) == 0
    assert (tmp_path / "d.png").read_bytes()[:4] == b"\x89PNG"
    assert main([str(root / "infonce-1"), "--plot", str(tmp_path / "none.png")]) == 2
    assert "--plot compares with infonce: give runs of it and of others" in capsys.readouterr().err


def test_two_folders_of_one_reader_share_a_table(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    make_run(other, "infonce", 1, {"x": 1}, pool="xyz", corpus="data/cosqa")
    assert set(cells(find_runs([root, other]))) == {("stdlib", "python", "tiny"), ("cosqa", "python", "tiny")}


def test_similar_batches_share_a_row_with_random_ones(root):
    make_run(root, "infonce", 1, {"a": 1, "b": 1, "c": 1}, batching="similar")
    make_run(root, "soft_infonce", 1, {"a": 1, "b": 1, "c": 1}, batching="similar", masked=True)
    (row_cells,) = cells(find_runs([root])).values()
    assert [cell.name for cell in row_cells] == [
        *("infonce", "infonce, similar by bm25", "soft_infonce bm25", "soft_infonce bm25, similar, copies masked")
    ]


def test_another_baseline_is_ignored(root, capsys):
    assert main([str(root), "--baseline", "soft_infonce bm25"]) == 0
    assert "minus soft_infonce bm25" in capsys.readouterr().out
    (row_cells,) = cells(find_runs([root])).values()
    plain, soft, _ = rows(row_cells, "soft_infonce bm25")
    assert plain[5] == f"{-(0 + 0.5 + 0.25) / 3:+.4f}"
    assert soft[5] == ""
    assert main([str(root), "--baseline", "soft_infonce"]) == 2
    assert "did you mean 'soft_infonce bm25'" in capsys.readouterr().err
