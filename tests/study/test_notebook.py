"""Tables show texts as they are, and notebooks run in the project's root."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch

from src.study import notebook
from tests.conftest import PROJECT


def test_html_in_a_text_of_a_corpus_is_escaped():
    html = notebook.table(["<b>", "n"], [("<script>x</script>", 1), ("def f():\n    return '<i>'", 2)])._repr_html_()
    assert "<script>" not in html
    assert "<i>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;x&lt;/script&gt;" in html
    assert "def f():\n    return" in html
    assert "<pre" in html


def test_numbers_are_shown_with_separators_and_three_decimals():
    shown = notebook.table(["a"], [(1234567,), (0.12349,), (np.float32(2.0),), (torch.tensor(3),), (True,), ("x",)])
    assert [row[0] for row in shown.rows] == ["1,234,567", "0.123", "2.000", "3", "True", "x"]


def test_a_notebook_of_the_project_runs_in_its_root(monkeypatch, tmp_path):
    style = mpl.rcParams.copy()
    try:
        monkeypatch.chdir(PROJECT / "notebooks")
        notebook.begin()
        assert Path.cwd() == PROJECT
        monkeypatch.chdir(tmp_path)
        notebook.begin()
        assert Path(os.getcwd()) == tmp_path
        assert mpl.rcParams["axes.facecolor"] == "white"
    finally:
        mpl.rcParams.update(style)


def test_panels_are_as_many_as_asked_for():
    mpl.use("Agg")
    figure, axes = notebook.panels(3, height=2.0, sharey=True)
    assert len(axes) == 3
    assert figure.get_size_inches() == pytest.approx([notebook.WIDTH, 2.0])
    mpl.pyplot.close(figure)
