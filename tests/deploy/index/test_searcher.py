"""Queries to places: filters, fusion, copies, functions inside one another, an index that is replaced."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from src.deploy.index.build import Options
from src.deploy.index.searcher import Searcher, first
from src.utils.errors import InputError
from tests.corpora.harvester.trees import write
from tests.deploy.index.runs import OPTIONS, indexed, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    indexed(folder)
    return folder


def found(searcher: Searcher, query: str, *args, **kwargs) -> list[str]:
    return [hit.place.name for hit in searcher.search(query, *args, **kwargs)]


@pytest.mark.parametrize("fusion", ["none", "rrf"])
def test_the_right_function_is_first_with_its_copies_in_one_answer(folder, fusion) -> None:
    searcher = Searcher(folder / "index")
    for query, name in (("open file", "open_file"), ("sort rows", "SortRows"), ("draw the image", "drawImage")):
        assert found(searcher, query, fusion=fusion)[0] == name
    hits = searcher.search("send packet socket", 2, fusion=fusion)
    assert [place.path for place in (hits[0].place, *hits[0].copies)] == ["net/copy.py", "net/send.py"]
    assert (hits[0].place.start, hits[0].place.end, hits[0].doc) == (1, 3, "Send one packet.")
    assert hits[0].score > hits[1].score
    assert (hits[0].score == hits[0].similarity) == (fusion == "none")


def test_filters_by_language_and_path_let_nothing_else_through(folder) -> None:
    searcher = Searcher(folder / "index")
    assert found(searcher, "file", languages=["go"]) == ["SortRows"]
    assert set(found(searcher, "file", languages=["go", "javascript"])) == {"SortRows", "drawImage", "parseHeader"}
    for fusion in ("none", "rrf"):
        hits = searcher.search("file", paths=["net/s*"], fusion=fusion)
        assert [(hit.place.path, hit.copies) for hit in hits] == [("net/send.py", [])]
    assert found(searcher, "file", languages=["go"], paths=["*.py"]) == []
    assert len(found(searcher, "file", top=2)) == 2


def test_documentation_is_found_by_bm25(tmp_path) -> None:
    others = "def g(y): pass\ndef h(z): pass\n"
    write(tmp_path / "tree" / "a.py", f'def f(x):\n    """Frobnicates."""\n    return x\n{others}')
    indexed(tmp_path)
    scores = Searcher(tmp_path / "index").lexical.scores("frobnicates")
    assert (scores > 0).sum() == 1


def test_nested_functions_are_one_answer(tmp_path) -> None:
    nested = "def retry(call):\n    def retry_call():\n        return call()\n    return retry_call\n"
    write(tmp_path / "tree" / "a.py", nested + "\n\ndef other(): pass\n")
    indexed(tmp_path)
    assert len(found(Searcher(tmp_path / "index"), "retry call")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"query": " "}, "expected a query in words"), ({"query": "?!"}, "expected a query in words"),
        ({"query": "x" * 10_001}, "at most 10,000 characters"), ({"top": 0}, "expected top=1 to 1,000, found 0"),
        ({"languages": ["pyhton"]}, "did you mean 'python'"), ({"fusion": "rff"}, "did you mean 'rrf'"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_with_what_was_expected(folder, options, message) -> None:
    with pytest.raises(InputError, match=message):
        Searcher(folder / "index").search(**{"query": "file", **options})


def test_an_index_refuses_another_model_and_accepts_a_moved_copy_of_its_own(folder, tmp_path) -> None:
    other = write_run(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"made with another model .*give that model's run"):
        Searcher(folder / "index", str(other))
    shutil.copytree(folder / "run", tmp_path / "moved")
    assert Searcher(folder / "index", str(tmp_path / "moved")).search("file")


def test_a_model_that_is_gone_is_named_with_the_option_that_replaces_it(tmp_path) -> None:
    indexed(tmp_path)
    (tmp_path / "run").rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"the model of index .* is no longer at .*: give its run directory, run=DIR"):
        Searcher(tmp_path / "index")


def test_a_running_search_sees_the_new_index_once_it_is_refreshed(tmp_path) -> None:
    indexed(tmp_path)
    searcher = Searcher(tmp_path / "index")
    assert "close_file" in found(searcher, "close file", languages=["python"], fusion="rrf")
    write(tmp_path / "tree" / "files.py", "def unlink_file(path):\n    remove(path)\n")
    assert searcher.search("close file")[0].state == "changed"
    indexed(tmp_path)
    assert "close_file" in found(searcher, "close file")  # its files are gone, and still mapped
    searcher.refresh()
    answers = found(searcher, "unlink file", languages=["python"], fusion="rrf")
    assert answers[0] == "unlink_file"
    assert "close_file" not in answers


def test_an_index_without_functions_gives_no_answers_until_it_is_filled(tmp_path) -> None:
    write(tmp_path / "tree" / "a.py", "x = 1\n")
    report = indexed(tmp_path)
    assert report.manifest["functions"] == 0
    for fusion in ("none", "rrf"):
        assert Searcher(tmp_path / "index").search("anything", languages=["python"], fusion=fusion) == []
    write(tmp_path / "tree" / "a.py", "def anything(): pass\n")
    indexed(tmp_path)
    assert found(Searcher(tmp_path / "index"), "anything") == ["anything"]


def test_approximate_search_equals_exact_search_and_omits_removed_functions(tmp_path) -> None:
    pytest.importorskip("usearch")
    verbs, nouns = ("open", "close", "read", "write", "sort"), ("File", "Row", "Image", "Packet", "Date")
    words = [f"{verb}{noun}" for verb in verbs for noun in nouns]
    write(tmp_path / "tree" / "a.py", "".join(f"def {word}(x):\n    return {word}s(x)\n\n" for word in words))
    options = Options(workers=0, exact_below=3)
    assert indexed(tmp_path, options=OPTIONS).manifest["graph"] is None
    manifest = indexed(tmp_path, options=options).manifest
    assert manifest["graph"] == {"recall@10": None, "queries": 0}
    searcher = Searcher(tmp_path / "index")
    assert searcher.graph is not None
    for fusion in ("none", "rrf"):
        assert found(searcher, "read an image", fusion=fusion) == found(
            searcher, "read an image", fusion=fusion, exact=True
        )
    write(tmp_path / "tree" / "a.py", 'def readIcon(x):\n    """Read it."""\n    return x\n\n' + "".join(
        f"def {word}(x):\n    return {word}s(x)\n\n" for word in words if word != "readImage"
    ))  # fmt: skip
    assert indexed(tmp_path, options=options).manifest["graph"] == {"recall@10": 1.0, "queries": 1}
    answers = found(Searcher(tmp_path / "index"), "read an image", top=25)
    assert "readImage" not in answers
    assert "readIcon" in answers


def test_the_first_by_bm25_have_the_highest_scores_above_zero() -> None:
    scores_M = np.array([0, 3, 1, 3, 2, 0], np.float32)
    assert first(scores_M, 3).tolist() == [1, 3, 4]
    assert first(scores_M, 9).tolist() == [1, 3, 4, 2]
