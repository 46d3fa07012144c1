"""A search as a user types it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.corpora.harvester.trees import write
from tests.deploy.index.runs import indexed
from tests.support.commands import run_direct


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    indexed(folder)
    return folder


def search(folder, *arguments: str) -> tuple[int, str, str]:
    return run_direct("search", f"index={folder / 'index'}", *arguments)


def test_an_answer_says_where_it_is(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    status, output, errors = search(folder, "send packet", "top=1")
    assert (status, errors) == (0, "")
    assert "tree/net/copy.py:1  send_packet" in output
    assert "and 1 more copy" in output
    assert '   2     """Send one packet."""' in output


def test_the_json_output_can_be_read_by_a_script(folder) -> None:
    status, output, _ = search(folder, "sort the rows", "json=true", "lang=go", "fusion=rrf")
    answer = json.loads(output)
    assert status == 0
    [hit] = answer["hits"]
    assert (answer["query"], hit["name"], hit["line"], hit["language"]) == ("sort the rows", "SortRows", 4, "go")
    assert hit["path"].endswith("tree/main.go")
    assert hit["code"].startswith("func SortRows")


def test_long_functions_are_shortened(folder) -> None:
    _, output, _ = search(folder, "send packet", "top=1", "lines=2")
    assert "# 1 more line" in output
    assert "b'x'" not in output


def test_filters_that_leave_nothing_are_reported(folder) -> None:
    assert "no function was found" in search(folder, "file", "path=nowhere/*")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "expected a query in words, found ''"), (("file", "top=1001"), "1 or more and up to 1000, found"),
        (("file", "lang=pyhton"), "did you mean 'python'"), (("file", "lines=-1"), "a whole number of 0 or more"),
        (("json=true",), "expected a query with json"), (("file", "run=nowhere"), "run directory nowhere does not"),
        (("file", "index=nowhere"), "index nowhere does not exist"), (("file", "index=null"), "expected the index to"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_status_two_and_one_line(folder, arguments, message) -> None:
    status, output, errors = search(folder, *arguments)
    assert (status, output) == (2, "")
    assert message in errors
    assert len(errors.splitlines()) == 1


def test_a_long_query_is_cut_with_a_warning(folder) -> None:
    status, output, errors = search(folder, "open file " * 40, "top=1")
    assert status == 0
    assert "open_file" in output
    assert errors.startswith("warning: the model reads the first 64 words of the query's 80")


def test_the_prompt_continues_after_a_mistake(folder, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("open file\n\nsort rows\n"))
    status, output, errors = search(folder, "top=1", "lines=1")
    assert status == 0
    assert output.index("open_file") < output.index("SortRows")
    assert errors == "error: expected a query in words, found '': say what the function does\n"


def test_indexed_code_cannot_control_the_terminal(tmp_path) -> None:
    write(tmp_path / "tree" / "a.py", 'def clear(x):\n    print("\x1b[2J\x07")  # [bold]not markup[/bold]\n')
    indexed(tmp_path)
    _, output, _ = search(tmp_path, "clear")
    assert "\x1b" not in output
    assert "\x07" not in output
    assert "[bold]not markup[/bold]" in output
