"""`python -m src` lists the commands."""

from __future__ import annotations

import importlib.util
import re

import pytest

from src.__main__ import main
from src.config.commands import COMMANDS
from tests.conftest import PROJECT


def test_every_command_has_one_line_with_one_sentence(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("       ")]
    assert sorted(commands) == sorted(COMMANDS)
    assert max(map(len, lines)) <= 80
    sentences = [line[19:] for line in lines if line.split()[:1] and line.split()[0] in COMMANDS]
    assert all(re.fullmatch(r"[A-Z].*[^.]\.", sentence) for sentence in sentences)


def test_every_module_that_can_be_run_is_listed():
    files = [*PROJECT.glob("src/*.py"), *PROJECT.glob("src/*/__main__.py")]
    runnable = [path for path in files if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    names = {path.parent.name if path.name == "__main__.py" else path.stem for path in runnable}
    assert names - {"src"} == set(COMMANDS)
    assert all(importlib.util.find_spec(f"src.{name}") for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["trian"], "error: trian is no command; did you mean 'train'?; python -m src lists them\n"),
        (["qqqqqq"], "error: qqqqqq is no command; python -m src lists them\n"),
        (["src.train"], "error: type python -m src.train\n"),
        (["search", "index=DIR", "--help"], "error: type python -m src.search index=DIR --help\n"),
    ],
)
def test_a_word_is_answered_with_the_command_that_may_be_meant(words, answer, capsys):
    assert main(words) == 2
    assert capsys.readouterr().err == answer
