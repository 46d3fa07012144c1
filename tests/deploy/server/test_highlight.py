"""Pieces of code: all of the text, in order, whatever it is."""

from __future__ import annotations

import pytest

from src.config.choices import NAMES
from src.deploy.server.answers import lines, pieces

CODES = [
    "def f(x):\n    return '<b>' # why",
    "  \n\nx = 1\n\n",
    "function f() {\n\t`${a}\n</script>`\n}",
    "<?php echo 1 ?> <p>",
    "\0\x1b'",
]


@pytest.mark.parametrize("language", NAMES)
@pytest.mark.parametrize("code", CODES)
def test_pieces_and_lines_join_to_the_whole_code(language: str, code: str) -> None:
    assert "".join(text for _, text in pieces(code, language)).removesuffix("\n") == code.removesuffix("\n")
    shown = ["".join(text for _, text in line) for line in lines(code, language)]
    assert "\n".join(shown).rstrip("\n") == code.rstrip("\n")


def test_every_kind_of_token_is_marked() -> None:
    kinds = dict(map(reversed, pieces('@d\ndef f(x):\n    """Doc."""\n    return len("s") + 1  # c\n', "python")))
    expected = {
        "@d": "mark",
        "def": "keyword",
        "f": "name",
        "len": "builtin",
        '"s"': "string",
        "1": "number",
        "# c": "comment",
    }
    assert {text: kinds[text] for text in expected} == expected
