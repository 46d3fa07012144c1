"""Notebooks run from start to end, define nothing that belongs in src, and are committed as they look."""

from __future__ import annotations

import ast
import os
import re
import sysconfig
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
ignores_jupyter = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:jupyter_client", "ignore::DeprecationWarning:zmq"
)
# What takes minutes in a notebook: its text -> the text that the fast test runs.
SHORTER = {
    "02_what_the_weights_see": {"max_epochs = 2": "max_epochs = 1"},
    "05_why_it_works": {"SEEDS, TRAINED_ON = (1, 2, 3)": "SEEDS, TRAINED_ON = (1,)", "share, 63, 80,": "share, 63, 8,"},
}
ONLY_SLOW = ("04_reading_a_sweep",)  # most of a minute for six trainings; what it shows has tests of its own
# The part of python's library that the fast test reads.
MODULES = (
    "asyncio",
    "email",
    "http",
    "logging",
    "multiprocessing",
    "unittest",
    "urllib",
    "xml",
    "_pydecimal.py",
    "ast.py",
)
MODULES += ("datetime.py", "difflib.py", "mailbox.py", "pathlib.py", "tarfile.py", "typing.py", "zipfile.py")
# Python runs this file of PYTHONPATH when it starts: in a notebook's kernel, and in the commands that it starts.
SITE = """import sysconfig
whole = sysconfig.get_path
sysconfig.get_path = lambda name, *more, **given: {folder!r} if name == "stdlib" else whole(name, *more, **given)
"""


@pytest.fixture(scope="module")
def small_library(tmp_path_factory) -> str:
    """A PYTHONPATH under which python's standard library has a third of its functions."""
    site, library = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("library")
    for name in MODULES:
        (library / name).symlink_to(Path(sysconfig.get_path("stdlib")) / name)
    (site / "sitecustomize.py").write_text(SITE.format(folder=str(library)))
    return f"{site}{os.pathsep}{PROJECT}"


def outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_every_notebook_is_there():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_the_data",
        "02_what_the_weights_see",
        "03_the_losses_and_their_gradients",
        "04_reading_a_sweep",
        "05_why_it_works",
    ]


def execute(notebook, folder) -> None:
    # in a folder of its own, so that it finds no cache
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    assert outputs(notebook)
    assert not [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in ONLY_SLOW], ids=lambda path: path.stem)
@ignores_jupyter
def test_a_notebook_on_less_data_runs_without_errors_or_warnings(path, small_library, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", small_library)
    notebook = nbformat.read(path, as_version=4)
    for whole, shorter in SHORTER.get(path.stem, {}).items():
        (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and whole in cell.source]
        cell.source = cell.source.replace(whole, shorter)
    execute(notebook, tmp_path)


@pytest.mark.slow
@by_name
@pytest.mark.timeout(900)  # seconds of work, on a machine that may do much else
@ignores_jupyter
def test_a_notebook_runs_without_errors_or_warnings(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    execute(nbformat.read(path, as_version=4), tmp_path)


@by_name
def test_a_notebook_defines_no_functions_or_classes(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda), ast.unparse(node)[:80]


@by_name
def test_a_notebook_is_committed_with_its_plots_and_without_paths_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    texts = [output.get("text", "") for output in outputs(notebook)]
    shown = [output.data for output in outputs(notebook) if "data" in output]
    assert any("image/png" in data or "<svg" in data.get("text/html", "") for data in shown)
    texts += [text for data in shown for kind, text in data.items() if kind.startswith("text/")]
    for text in texts:
        assert not re.search(r"(?<![\w.])/(work|home|root|tmp|usr|opt|Users)/", text), text[:200]
