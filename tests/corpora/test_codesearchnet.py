"""Data in CodeSearchNet's layout: what is read from it, and what is said about data that is wrong."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from src.config.checks import check_part
from src.config.compose import compose_config
from src.corpora.codesearchnet import CodeSearchNetCorpus
from src.utils.errors import InputError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def row(url: str = "u1", code: str = "def f(): pass", docstring: str = "do f", **more: Any) -> dict[str, Any]:
    return {"url": url, "code": code, "docstring": docstring, **more}


def write(root: Path, name: str, *rows: Any, language: str = "python") -> Path:
    """Rows as JSON lines; a `str` or `bytes` row is written as it is."""
    path = root / language / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line if isinstance(line, bytes) else _text(line).encode() for line in rows]
    data = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def _text(line: Any) -> str:
    return line if isinstance(line, str) else json.dumps(line)


def error_of(root: Path, split: str, **parameters: Any) -> str:
    with pytest.raises(InputError) as error:
        CodeSearchNetCorpus(root, **parameters).split(split)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_tokens_are_preferred_and_joined_by_spaces(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", row(code_tokens=["def", "f"], docstring_tokens=["do", "it"]))
    [pair] = CodeSearchNetCorpus(tmp_path).split("train").pairs
    assert (pair.query, pair.code, pair.language) == ("do it", "def f", "python")


@pytest.mark.parametrize("tokens", [[], None, [" "]])
def test_missing_or_empty_tokens_fall_back_to_the_text(tmp_path: Path, tokens: list[str] | None) -> None:
    write(tmp_path, "train.jsonl", row(code_tokens=tokens, docstring_tokens=tokens))
    [pair] = CodeSearchNetCorpus(tmp_path).split("train").pairs
    assert (pair.query, pair.code) == ("do f", "def f(): pass")


def test_text_source_keeps_the_lines_of_the_code(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", row(code="def f():\n    pass", code_tokens=["def", "f"]))
    [pair] = CodeSearchNetCorpus(tmp_path, text="source").split("train").pairs
    assert pair.code == "def f():\n    pass"


def test_query_finds_its_code_wherever_it_stands_in_the_codebase(tmp_path: Path) -> None:
    write(tmp_path, "codebase.jsonl", row("u0", "zero"), row("u1", "one"), row("u2", "two"))
    write(tmp_path, "test.jsonl", row("u2", "TWO", "second"), row("u0", docstring="zeroth"))
    split = CodeSearchNetCorpus(tmp_path).split("test")
    assert split.positives == (2, 0)
    assert split.codebase.ids == ("u0", "u1", "u2")
    assert [pair.code for pair in split.pairs] == ["two", "zero"]  # what is ranked, not what the query's row says


def test_query_rows_need_no_code_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, "codebase.jsonl", {"url": "u1", "code": "one"})
    write(tmp_path, "valid.jsonl", {"url": "u1", "docstring": "first"})
    assert CodeSearchNetCorpus(tmp_path).split("valid").pairs[0].code == "one"


def test_several_queries_of_one_code_get_ids_of_their_own(tmp_path: Path) -> None:
    rows = [row(docstring=text) for text in ("a", "b", "c")]
    write(tmp_path, "codebase.jsonl", rows[0])
    write(tmp_path, "test.jsonl", *rows, row(docstring="d", idx=7), row(docstring="e", idx="x"))
    split = CodeSearchNetCorpus(tmp_path).split("test")
    assert [pair.id for pair in split.pairs] == ["u1", "u1#2", "u1#3", "7", "x"]
    assert {pair.code_id for pair in split.pairs} == {"u1"}
    assert split.positives == (0,) * 5


def test_packed_files_blank_lines_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    write(
        tmp_path, "train.jsonl.gz", b"\xef\xbb\xbf" + json.dumps(row(docstring="größe")).encode(), "", "  ", row("u2")
    )
    pairs = CodeSearchNetCorpus(tmp_path).split("train").pairs
    assert [pair.query for pair in pairs] == ["größe", "do f"]


def test_line_separator_inside_a_string_ends_no_line(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", json.dumps(row(docstring="a\u2028b"), ensure_ascii=False))
    assert CodeSearchNetCorpus(tmp_path).split("train").pairs[0].query == "a\u2028b"


def test_a_corpus_with_only_a_test_split_is_read_and_names_the_missing_file(tmp_path: Path) -> None:
    for name in ("codebase.jsonl", "test.jsonl"):
        write(tmp_path, name, row())
    assert len(CodeSearchNetCorpus(tmp_path).split("test")) == 1
    message = error_of(tmp_path, "train")
    assert message.endswith("train.jsonl or .jsonl.gz, found codebase.jsonl, test.jsonl; add the file")


def test_split_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "train.jsonl", row())
    corpus = CodeSearchNetCorpus(tmp_path)
    first = corpus.split("train")
    path.unlink()
    assert corpus.split("train") is first


def test_the_error_for_a_missing_root_names_the_three_ways_to_give_data() -> None:
    message = error_of(None, "train", language="go")
    for way in ("corpus=stdlib", "corpus.root=DIR", "DIR/go/train.jsonl", "your own data", "code, docstring, url"):
        assert way in message


def test_the_error_for_a_root_that_is_no_directory_names_the_ways_to_give_data(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, found in (("absent", "found nothing there"), ("file", "found a file")):
        message = error_of(tmp_path / name, "train")
        assert f"corpus.root={tmp_path / name}" in message
        assert found in message
        assert "your own data" in message


def test_the_error_for_an_absent_language_lists_those_that_are_there(tmp_path: Path) -> None:
    for language in ("java", "javascript"):
        write(tmp_path, "test.jsonl", row(), language=language)
    message = error_of(tmp_path, "test", language="javscript")
    assert message.endswith("found java, javascript; did you mean 'javascript'?")


def test_a_misnamed_split_file_is_suggested(tmp_path: Path) -> None:
    write(tmp_path, "trian.jsonl", row())
    assert error_of(tmp_path, "train").endswith("found trian.jsonl; add the file; did you mean 'trian.jsonl'?")


def test_a_missing_codebase_is_named(tmp_path: Path) -> None:
    write(tmp_path, "test.jsonl", row())
    assert "codebase.jsonl or .jsonl.gz, found test.jsonl" in error_of(tmp_path, "test")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"url": "u2", ', "expected one JSON object a line"),
        (b'{"url": "\xff"}', "expected UTF-8, found byte 0xff at position 9"),
        ("9" * 5000, "expected one JSON object a line"),
        ("[1]", "found a list"),
        ("null", "found null"),
        ("[" * 100_000, "expected one JSON object a line"),
        (
            {"url": "u2", "code": "c", "docstrng": "d"},
            "expected the field 'docstring_tokens' or 'docstring', found the",
        ),
        ({"url": "u2", "code": "c", "docstrng": "d"}, "did you mean 'docstrng'?"),
        ({"code": "c", "docstring": "d"}, "expected the field 'url'"),
        ({"url": "u2", "docstring": "d", "source": "c"}, "expected the field 'code_tokens' or 'code'"),
        (row(3), "expected a string in 'url', found a number"),
        (row("u2", {"a": 1}), "expected a string in 'code', found an object"),
        (
            row("u2", code_tokens=["a", 1]),
            "expected a list of strings in 'code_tokens', found a list with a number in it",
        ),
        (row("u2", code_tokens="a b"), "expected a list of strings in 'code_tokens', found a string"),
        (row("u2", docstring=" \n"), "expected text in 'docstring_tokens' or 'docstring', found it empty"),
        (row("u2", docstring="\ud800"), "expected Unicode text in 'docstring'"),
        (row("u2", idx=[1]), "expected a string in 'idx', found a list with a number in it"),
        (row("u1", "other"), "url 'u1' has another code on line 1"),
        (row("u1"), "the url and the query of line 1 again"),
        (row("u2", idx="u1"), "expected an idx of its own, found 'u1' as on line 1"),
    ],
)
def test_bad_training_line_is_named_with_its_number(tmp_path: Path, line: Any, said: str) -> None:
    path = write(tmp_path, "train.jsonl", row(), "", line)
    message = error_of(tmp_path, "train")
    assert message.startswith(f"{path}:3: ")
    assert said in message


def test_a_query_without_an_answer_in_the_codebase_is_named_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "codebase.jsonl", row("u1"))
    path = write(tmp_path, "valid.jsonl", row("u1"), row("u2"))
    assert error_of(tmp_path, "valid").startswith(f"{path}:2: expected a url of codebase.jsonl, found 'u2'")


def test_a_code_that_is_twice_in_the_codebase_is_named_with_both_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "codebase.jsonl", row("u1"), "", row("u2"), row("u1"))
    write(tmp_path, "test.jsonl", row("u1"))
    assert error_of(tmp_path, "test").startswith(f"{path}:4: expected a url of its own, found 'u1' as on line 1")


@pytest.mark.parametrize("empty", ["codebase", "test"])
def test_an_empty_file_is_refused(tmp_path: Path, empty: str) -> None:
    for name in ("codebase", "test"):
        write(tmp_path, f"{name}.jsonl", *([] if name == empty else [row()]))
    assert f"{empty}.jsonl: expected " in error_of(tmp_path, "test")


def test_a_truncated_packed_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "train.jsonl.gz", *(row(f"u{n}") for n in range(1000)))
    path.write_bytes(path.read_bytes()[:-20])
    assert re.search(r"train.jsonl.gz:\d+: cannot be read", error_of(tmp_path, "train"))
    path.write_bytes(b"not packed")
    assert "train.jsonl.gz:1: cannot be read" in error_of(tmp_path, "train")


def test_a_misspelt_choice_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl", row())
    assert "did you mean 'train'" in error_of(tmp_path, "trian")
    with pytest.raises(InputError, match="did you mean 'tokens'"):
        check_part("corpus", compose_config("train", ["corpus=codesearchnet", "corpus.text=token"]).corpus)


@pytest.mark.parametrize(
    ("name", "split", "queries", "candidates"),
    [
        ("cosqa", "train", 8741, 0),
        ("cosqa", "test", 500, 6267),
        ("mbxp", "valid", 90, 590),
        ("humaneval_x", "test", 164, 164),
    ],
)
def test_real_data_is_read_whole(name: str, split: str, queries: int, candidates: int) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {name} data beside the checkout")
    found = CodeSearchNetCorpus(SHARED / name).split(split)
    assert (len(found), len(found.codebase or ())) == (queries, candidates)
    assert len({pair.id for pair in found.pairs}) == queries
    assert all(found.codebase.ids[row] == pair.code_id for row, pair in zip(found.positives, found.pairs))
