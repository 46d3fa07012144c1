"""What is left of an error in one line, and the nearest of some names."""

from __future__ import annotations

import pytest

from src.utils.errors import first_line, nearest


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("no such file", "no such file"),
        ("size mismatch\n\tfor encoder.weight", "size mismatch"),
        ("\n \n  size mismatch  \r\nfor encoder.weight", "size mismatch"),
        ("", "OSError"),
        (" \n\t\n", "OSError"),
    ],
)
def test_an_error_is_shortened_to_its_first_line_or_its_class(said, line):
    assert first_line(OSError(said)) == line


def test_an_error_without_words_says_the_given_alternative():
    assert first_line(OSError("\n"), "no answer") == "no answer"
    assert first_line(OSError("refused\nafter 3 tries"), "no answer") == "refused"


def test_only_a_similar_name_is_suggested():
    assert nearest("bm52", ["none", "bm25", "simcse"]) == "; did you mean 'bm25'?"
    assert nearest("weights", ["none", "bm25"]) == ""
