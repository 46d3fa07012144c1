"""The page: complete by itself, safe to open, honest about what it could not read."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from src.report.plots import at_kept
from src.report.runs import find_runs
from tests.report.runs import HISTORY, make_run
from tests.support.commands import direct

main = direct("report")

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def evil(tmp_path):
    """Runs whose every text from outside wants to be HTML."""
    ranks = {f"{EVIL}{i}": i + 1 for i in range(5)}
    make_run(tmp_path, "infonce", 1, ranks, corpus=EVIL.replace("/", "|"), pool=EVIL)
    make_run(
        tmp_path, f"soft{EVIL.replace('/', '|')}", 1, dict.fromkeys(ranks, 1), corpus=EVIL.replace("/", "|"), pool=EVIL
    )
    make_run(tmp_path, "infonce", 2, ranks, status={"status": "failed", "error": EVIL})
    return tmp_path


def page_of(folder, *options) -> str:
    assert main([str(folder), *options]) == 0
    return (folder / "report" / "report.html").read_text()


def test_html_in_names_and_ids_is_escaped(evil):
    page = page_of(evil)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5


def test_the_page_fetches_nothing(root):
    page = page_of(root)
    references = re.findall(r"""(?:src|href|xlink:href|url|@import)\s*[=(]\s*["']?([^"'\s)]+)""", page)
    assert references
    assert all(reference.startswith("#") for reference in references)
    assert "<link" not in page
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_page_has_every_plot(root):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page_of(root))
    assert [caption.partition(":")[0] for caption in captions] == [
        *("MRR minus infonce", "Learning curves", "Weights over training steps", "Weights over training steps"),
        "Alignment and uniformity on valid at the epoch that was kept, one mark per seed; lower is better in both.",
    ]


def test_the_plane_shows_the_epoch_that_was_tested(root):
    (run,) = find_runs([root / "infonce-1"])[0]
    assert at_kept(run) == (1.25, -3.0)
    make_run(root / "worse", "infonce", 1, {"a": 1}, history=HISTORY.replace(",0.5,", ",0.125,"))
    (run,) = find_runs([root / "worse"])[0]
    assert at_kept(run) == (1.5, -2.0)
    assert at_kept(replace(run, config={"keep": "last"})) == (1.25, -3.0)


def test_a_plot_without_data_is_left_out(tmp_path):
    make_run(tmp_path, "infonce", 1, {"a": 1}, history="")
    assert "<figure>" not in page_of(tmp_path)


def test_no_two_figures_share_clip_paths_or_markers(root):
    ids = re.findall(r'\bid="([^"]+)"', page_of(root))
    shared = {name for name in ids if ids.count(name) > 1}
    assert not {name for name in shared if re.match(r"[pm][0-9a-f]{10}", name)}  # clip paths and markers


def test_only_queries_that_moved_are_shown(root):
    page = page_of(root)
    assert re.findall(r"rank ([\d, ]+) → ([\d, ]+) · (\w)", page) == [("2", "1", "b"), ("4", "2", "c")]
    assert 'class="worse">worse</b>' not in page


def test_missing_texts_are_stated_on_the_page(root):
    assert "so only ids are shown: texts=false was given" in page_of(root, "texts=false")
    assert "so only ids are shown" in page_of(root)


def test_several_settings_are_summed_up_in_one_plot(root, tmp_path_factory):
    for loss, rank in (("infonce", 2), ("soft_infonce", 1)):
        make_run(root, loss, 7, dict.fromkeys("xyz", rank), lang="ruby", pool="r")
    page = page_of(root)
    assert "MRR minus infonce, in every setting" in page
    assert page.count("<h2>") == 3
