"""Lines that cannot be used: an error, or left out and said, as the limit allows."""

from __future__ import annotations

import pytest

from src.corpora import jsonl
from src.corpora.jsonl import BadLine, BadLines, read_rows
from src.utils.errors import InputError


def write(folder, *lines: bytes):
    path = folder / "train.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


def test_a_bad_line_is_an_error_where_none_is_allowed(tmp_path):
    path = write(tmp_path, b'{"a": 1}', b"x", b'{"a": 2}')
    rows = read_rows(path)
    assert next(rows).fields == {"a": 1}
    with pytest.raises(BadLine, match=r"train\.jsonl:2: expected one JSON object a line"):
        next(rows)


def test_lines_after_a_bad_one_are_read_with_their_own_numbers(tmp_path, caplog):
    path = write(tmp_path, b'{"a": 1}', b"x", b"", b"[1]", b'{"a": 2}')
    bad = BadLines(path, most=2)
    with caplog.at_level("WARNING", "src.corpora.jsonl"):
        rows = [(row.line, row.fields["a"]) for row in read_rows(path, bad)]
        bad.count()
    assert rows == [(1, 1), (5, 2)]
    said = [record.getMessage() for record in caplog.records]
    assert [f"train.jsonl:{line}: " in message for line, message in zip((2, 4), said)] == [True, True]
    assert said[2].endswith("2 bad lines left out (corpus.max_bad_lines=2)")


def test_one_bad_line_more_than_the_limit_is_an_error(tmp_path):
    path = write(tmp_path, b"x", b"y", b"z")
    with pytest.raises(InputError, match=r"3 bad lines, more than corpus\.max_bad_lines=2: .*train\.jsonl:3"):
        list(read_rows(path, BadLines(path, most=2)))


def test_another_error_is_not_taken_for_a_bad_line(tmp_path):
    bad = BadLines(tmp_path, most=9)
    with pytest.raises(ZeroDivisionError), bad:
        _ = 1 / 0
    with pytest.raises(InputError, match="a corpus without"), bad:
        raise InputError("a corpus without a codebase")
    assert not bad.met


@pytest.mark.parametrize("size", [99, 100, 101, 250, 1000])
def test_a_line_that_is_too_long_is_left_out_alone(tmp_path, monkeypatch, size):
    monkeypatch.setattr(jsonl, "LONGEST", 101)  # with the end of the line
    path = write(tmp_path, b'{"a": "%s"}' % (b"x" * (size - 9)), b'{"a": 2}')
    bad = BadLines(path, most=1)
    rows = [row.line for row in read_rows(path, bad)]
    assert rows == ([1, 2] if size <= 100 else [2])
    assert bad.met == ([] if size <= 100 else [f"{path}:1: expected at most 101 bytes in a line, found {size + 1:,}"])


def test_a_nul_character_is_refused(tmp_path):
    [row] = read_rows(write(tmp_path, b'{"a": "x\\u0000y"}'))
    with pytest.raises(BadLine, match="NUL"):
        row.text("a")
