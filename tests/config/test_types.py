"""Types of configuration values: what passes, and what is said of what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le

from src.config.types import Count, Jaccard, Positive, Whole, check_value, describe_type, literal_values
from src.utils.errors import InputError


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 3),
        (float, 3),  # a whole number is a number
        (float | None, None),
        (bool | str, "inductor"),
        (Count | Literal["auto"] | None, "auto"),
        (Sequence[str] | str, ["a", "b"]),
        (Mapping[str, float], {"bm25": 2}),
        (Annotated[float, Ge(0), Le(1)], 1),
        (Any, object()),
    ],
)
def test_a_value_of_its_type_is_accepted(kind, value):
    check_value("key", value, kind)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, True, "key: expected a whole number, found true"),
        (int, 2.0, "key: expected a whole number, found 2.0"),
        (int, "3", "key: expected a whole number, found '3'"),
        (bool, 1, "key: expected true or false, found 1"),
        (bool, "ture", "key: expected true or false, found 'ture'; did you mean 'true'?"),
        (str, None, "key: expected text, found null"),
        (Count, 0, "key: expected a whole number of 1 or more, found 0"),
        (Positive | None, 0.0, "key: expected a number above 0 or null, found 0.0"),
        (float, float("inf"), "key: expected a number, found inf"),
        (float, float("nan"), "key: expected a number, found nan"),
        (Jaccard, 1.5, "key: expected a number above 0 and up to 1, found 1.5"),
        (Literal["dot", "cosine"], "cosin", "key: expected dot or cosine, found 'cosin'; did you mean 'cosine'?"),
        (
            Whole | Literal["auto"],
            "aut",
            "key: expected a whole number of 0 or more or auto, found 'aut'; did you mean ",
        ),
        (Mapping[str, float], {"bm25": "x"}, "key: expected keys with a number each, found {'bm25': 'x'}"),
        (Sequence[str], [1], "key: expected a list of text, found [1]"),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_was_expected(kind, value, expected):
    with pytest.raises(InputError) as error:
        check_value("key", value, kind)
    assert str(error.value).startswith(expected)


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(InputError) as error:
        check_value("key", "x" * 10_000, int)
    assert len(str(error.value)) < 200


def test_null_is_described_after_the_other_types():
    assert describe_type(None | int) == "a whole number or null"
    assert literal_values(Literal["a", None] | bool) == ["a", "true", "false"]
