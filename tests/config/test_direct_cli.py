"""Command lines of what must start at once."""

from __future__ import annotations

import pytest

from src.config.direct_cli import configured
from src.utils.console import as_list
from src.utils.errors import InputError


def search(*arguments: str):
    return configured("search", arguments, "query")


def test_words_keys_and_flags_are_mixed_up() -> None:
    cfg = search("index=DIR", "open", "a file", "top=5", "--json", "lang=[python, go]", "path=src/*.py", "fusion=none")
    assert (cfg.index, cfg.query, cfg.top, cfg.json) == ("DIR", "open a file", 5, True)
    assert (as_list(cfg.lang), as_list(cfg.path), cfg.fusion) == (["python", "go"], ["src/*.py"], "none")
    assert (cfg.exact, as_list(cfg.run)) == (False, [])
    assert search("query=123").query == "123"
    assert search("where is x = y").query == "where is x = y"
    assert search("path=null").path is None


@pytest.mark.parametrize(
    ("argument", "message"),
    [("tpo=3", "no key 'tpo'.*did you mean 'top'"), ("--jsn", "no option --jsn.*did you mean '--json'")],
)
def test_a_typo_is_a_query(argument, message) -> None:
    with pytest.raises(InputError, match=message):
        search("index=DIR", argument)


def test_words_that_nothing_takes_pass() -> None:
    with pytest.raises(InputError, match="expected key=value, found 'words'"):
        configured("serve", ["words"])


def test_help_runs_the_task(capsys) -> None:
    assert search("--help") is None
    assert search("--cfg", "job") is None
    shown = capsys.readouterr().out
    assert "python -m src.search index=INDEX" in shown
    assert "top: 10" in shown
