"""The command: what it prints and leaves behind."""

from __future__ import annotations

import csv
import re

import pytest

from tests.report.runs import make_run
from tests.support.commands import direct

main = direct("report")


def test_a_folder_without_runs_is_refused_without_writing_a_report(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "no finished runs" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["choose=vaild"], "choose: expected valid or each, found 'vaild'; did you mean 'valid'?"),
        (["--basline", "bm25"], "--basline is no flag: keys are typed as KEY=VALUE; did you mean 'baseline'?"),
        (["baseline=infonec"], "baseline: expected one of the rows"),
        (["nowhere"], "nowhere does not exist: give run directories, or folders of them"),
        (["--to"], "--to is no flag: type to=VALUE"),
    ],
)
def test_a_mistaken_argument_is_reported_in_one_line(root, arguments, message, capsys):
    assert main([str(root), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["markdown=true"]])
def test_the_table_states_the_pool(root, options, capsys):
    assert main([str(root), *options]) == 0
    shown = capsys.readouterr().out
    assert "3 queries, 7 candidates, pool abc" in shown
    assert "soft_infonce bm25" in shown


def test_all_files_are_written_to_the_given_place_alone(root, tmp_path_factory):
    to = tmp_path_factory.mktemp("elsewhere") / "new"
    assert main([str(root), f"to={to}"]) == 0
    assert sorted(file.name for file in to.iterdir()) == ["report.csv", "report.html", "report.md", "report.tex"]
    assert not (root / "report").exists()


def test_a_place_that_cannot_be_written_is_reported_in_one_line(root, capsys):
    (root / "file").write_text("")
    assert main([str(root), f"to={root / 'file'}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_second_report_is_identical_to_the_first(root):
    assert main([str(root)]) == 0
    first = (root / "report" / "report.html").read_bytes()
    assert main([str(root)]) == 0
    assert (root / "report" / "report.html").read_bytes() == first


def test_a_plot_is_written_as_png_and_refused_without_the_baseline(root, tmp_path, capsys):
    assert main([str(root), f"plot={tmp_path / 'd.png'}"]) == 0
    assert (tmp_path / "d.png").read_bytes()[:4] == b"\x89PNG"
    assert main([str(root / "infonce-1"), f"plot={tmp_path / 'none.png'}"]) == 2
    assert "plot compares with infonce: give runs of it and of others" in capsys.readouterr().err


def test_another_baseline_is_used_and_a_misspelt_one_is_refused(root, capsys):
    assert main([str(root), "baseline=soft_infonce bm25"]) == 0
    assert "minus soft_infonce bm25" in capsys.readouterr().out
    assert main([str(root), "baseline=soft_infonce"]) == 2
    assert "did you mean 'soft_infonce bm25'" in capsys.readouterr().err


def test_the_csv_has_unrounded_numbers_in_the_right_columns(root):
    main([str(root)])
    with (root / "report" / "report.csv").open(newline="") as file:
        plain, soft = csv.DictReader(file)
    assert float(plain["mrr"]) == pytest.approx(0.5, abs=1e-12)
    assert (plain["mean"], plain["verdict"], plain["weights"], plain["seeds"]) == ("", "", "", "1 2")
    assert float(soft["mean"]) == pytest.approx(0.25, abs=1e-12)
    assert (soft["minus"], soft["weights"], soft["pool"], soft["candidates"]) == ("infonce", "bm25", "abc", "7")
    assert float(plain["train_seconds"]) == 11.5


def test_special_characters_of_a_name_are_escaped_in_latex(tmp_path):
    make_run(tmp_path, "infonce", 1, {"a": 1}, corpus="data/100%_{real} & #1")
    main([str(tmp_path)])
    text = (tmp_path / "report" / "report.tex").read_text()
    assert r"100\%\_\{real\} \& \#1 / python / tiny" in text
    assert len(re.findall(r"(?<!\\)&", text.split("\n")[2])) == 6


def test_a_bar_in_a_name_is_escaped_in_markdown(tmp_path, capsys):
    make_run(tmp_path, "a|b", 1, {"a": 1})
    main([str(tmp_path), "markdown=true"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
