"""The whole bench on the smallest sizes: what it writes and shows, not how fast this machine is."""

from __future__ import annotations

import importlib
import json
import math
from typing import get_args

import pytest

from src.bench import __main__ as bench
from src.bench import bm25_block, evaluation, gradient_caching, loader_allocator, losses, measurement, train_step
from src.bench.measurement import OURS
from src.config.choices import Measure
from src.config.direct_cli import read_keys
from src.utils.errors import InputError

TINY = bench.Sizes(
    batch=(3, 5),
    train_rounds=1,
    bm25=(7, 11),
    documents=101,
    shapes=((13, 31), (17, 67)),
    shape_rounds=(1, 1),
    losses=(67, 101),
    loss_rounds=1,
    loss_ways=(OURS, "plain"),
    estimators=("bm25",),
    estimator_batch=4,
    estimator_rounds=1,
    large=16,
    model={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
)
PEERS = ("sentence_transformers", "datasets", "bm25s", "faiss")
KEYS = {  # of what needs no peer
    *("train_step/naive_padded", "train_step/naive_padded@3", "train_step/naive_padded@5"),
    *("train_step_bf16/naive_padded", "train_step_best/naive_padded", "loader/step"),
    *("bm25_block/paper_loops@7", "bm25_block/rank_bm25@7", "bm25_block/rank_bm25@11", "bm25_block/rank_bm25"),
    *("estimator_overhead/bm25", "estimator_overhead/teacher_in_the_loop"),
    *("evaluation/argsort", "evaluation/argsort@13", "evaluation_memory/argsort"),
    *("loss_time/plain", "loss_time/plain@101", "loss_memory/plain"),
    *("gradient_caching/batch_16", "gradient_caching_memory/batch_16", "allocator/system"),
}


def here(function, environment=None, **given):
    """As `alone`, in this process: libraries take seconds to load."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)(**given)


@pytest.fixture(scope="module")
def benched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        for module in (measurement, gradient_caching, loader_allocator):
            patch.setattr(module, "alone", here)
        for module in (bench, loader_allocator):
            patch.setattr(module, "keep_freed_memory", lambda: "allocator: unchanged")
        for module in (evaluation, losses):
            patch.setattr(module, "keep_freed_memory", lambda: "")
        find = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name, *more: None if name in PEERS else find(name, *more))
        patch.setattr(bm25_block, "ENOUGH", 1e-9)
        document = folder / "speed.md"
        document.write_text(f"Before.\n{bench.BEGIN}\nold\n{bench.END}\nAfter.\n")
        ratios = bench.main(read_keys("bench", [f"out={folder / 'run'}", f"docs={document}"]), TINY)
    return folder, ratios


def test_every_figure_is_present_finite_and_positive(benched):
    folder, ratios = benched
    assert set(ratios) >= KEYS
    assert json.loads((folder / "run" / "bench.json").read_text()) == ratios
    assert all(math.isfinite(ratio) and ratio > 0 for ratio in ratios.values())
    assert json.loads((folder / "run" / "status.json").read_text())["status"] == "finished"


def test_a_peer_that_is_not_installed_is_left_out_and_named_once(benched):
    folder, ratios = benched
    assert not [key for key in ratios if key.split("/")[1].split("@")[0] in PEERS]
    text = (folder / "run" / "bench.md").read_text()
    for peer in ("sentence_transformers", "bm25s", "faiss"):
        assert text.count(f"{peer} is not installed and left out: pip install -e '.[bench]'") == 1


def test_the_page_asks_the_network_for_nothing(benched):
    folder, _ = benched
    html = (folder / "run" / "bench.html").read_text()
    assert "train_step/naive_padded" in html
    assert html.count("<svg") >= 8
    for asking in ("src=", "@import", "url(http", "<link", "<script"):
        assert asking not in html


def test_a_document_keeps_the_text_around_the_figures(benched, tmp_path):
    folder, _ = benched
    text = (folder / "speed.md").read_text()
    assert text.startswith(f"Before.\n{bench.BEGIN}\n")
    assert text.endswith(f"{bench.END}\nAfter.\n")
    assert "old" not in text
    assert (folder / "run" / "bench.md").read_text() in text
    (tmp_path / "unmarked.md").write_text("no marks")
    with pytest.raises(InputError, match=r"unmarked.md: expected the lines '<!-- python -m src.bench docs=FILE"):
        bench.insert(tmp_path / "unmarked.md", "figures")


def test_an_unknown_measure_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"^only: expected bm25_block, train_step, .*, found 'speed'"):
        read_keys("bench", ["only=speed"])
    assert list(bench.measures(TINY, lambda: None, [])) == list(get_args(Measure))


def test_a_measurement_runs_in_a_new_process_and_reports_its_error():
    assert measurement.alone("os:getpid") != measurement.alone("os:getpid")
    with pytest.raises(measurement.LeftOut, match=r"TypeError: .*no keyword arguments"):
        measurement.alone("os:getpid", a=1)


@pytest.mark.filterwarnings("ignore")  # its own affair
@pytest.mark.parametrize("precision", train_step.PRECISIONS)
def test_a_step_of_sentence_transformers_can_be_timed(precision, tmp_path):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("datasets")
    given = bench.prepare_data(None, tmp_path / "model", TINY.model)
    assert train_step.sentence_transformers(given, precision)(given.batch(3)) > 0
