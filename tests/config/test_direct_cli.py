"""Command lines of the commands that start without Hydra."""

from __future__ import annotations

import pytest

from src.config.direct_cli import read_keys
from src.utils.console import as_list
from src.utils.errors import InputError


def search(*words: str):
    return read_keys("search", words)


def test_words_and_keys_may_stand_in_any_order() -> None:
    cfg = search("index=DIR", "open", "a file", "top=5", "json=true", "lang=[python, go]", "exact=TRUE", "path=*.py")
    assert (cfg.index, cfg.query, cfg.top, cfg.json, cfg.exact) == ("DIR", "open a file", 5, True, True)
    assert (as_list(cfg.lang), as_list(cfg.path), cfg.fusion) == (["python", "go"], ["*.py"], "none")
    assert as_list(cfg.run) == []
    assert search("path=null").path is None


@pytest.mark.parametrize("query", ["where is x = y", "${index}", "???", "a,b", "[a", "'", "1"])
def test_a_query_is_taken_literally(query) -> None:
    assert search("index=DIR", query).query == query
    assert search(f"query={query}").query == query


def test_text_needs_no_quotes_where_a_key_takes_nothing_else() -> None:
    assert search("index=a,b [1]").index == "a,b [1]"
    assert search("index=2024").index == "2024"
    assert search("index='null'").index == "null"
    assert search("path=['src/(a).py', b]").path == ["src/(a).py", "b"]


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("--baseline", "baseline=VALUE"),
        ("--plot=a.png", "plot=a.png"),
        ("--markdown", "markdown=true"),
        ("--no-mix-pools", "mix_pools=false"),
    ],
)
def test_a_key_with_dashes_is_refused_with_what_to_type_instead(word, instead) -> None:
    with pytest.raises(InputError, match=f"^{word.partition('=')[0]} is no flag: type {instead}$"):
        read_keys("report", ["outputs", word])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tpo=3", "tpo is no key of src.search; did you mean 'top'"),
        ("qqqq=3", r"qqqq is no key of src.search \(there are index, query, .*\); --help lists them"),
        ("--hlp", "--hlp is no flag: .*; did you mean '--help'"),
        ("top=", "top=: expected a value after =, found nothing"),
        ("top=1,2", "top=1,2: expected one value, found several"),
        ("path=[a", "a bracket is never closed"),
        ("fusion=rff", "fusion: expected none or rrf, found 'rff'; did you mean 'rrf'"),
    ],
)
def test_a_mistake_is_named_with_the_nearest_valid_name(word, message) -> None:
    with pytest.raises(InputError, match=message):
        search("index=DIR", word)


def test_a_command_without_free_words_asks_for_key_and_value() -> None:
    with pytest.raises(InputError, match="expected KEY=VALUE, found 'words'"):
        read_keys("serve", ["words"])


def test_help_and_cfg_print_and_return_nothing(capsys) -> None:
    assert search("--help", "t") is None
    shown = capsys.readouterr().out
    assert "python -m src.search index=INDEX" in shown
    assert "  top=10" in shown
    assert "  lang=" not in shown
    assert search("--cfg", "job", "top=3") is None
    assert "top: 3\n" in capsys.readouterr().out
