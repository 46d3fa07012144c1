"""What a function may look like: text outside ASCII, methods without their class, depth, and code that is none."""

from __future__ import annotations

import logging
import time

import pytest

from src import dataflow
from src.dataflow import LANGUAGES, extract_dataflow
from src.utils.errors import InputError

BROKEN = {
    "python": "def f(:\n    x = a",
    "java": "int f( { x = a;",
    "javascript": "function f( { x = a;",
    "php": "function f( { $x = $a;",
    "ruby": "def f(\n  x = a",
    "go": "func f( { x = a",
}


@pytest.fixture(autouse=True)
def _counts(monkeypatch):
    monkeypatch.setattr(dataflow, "unparsed", type(dataflow.unparsed)())


def test_multibyte_characters_do_not_shift_the_tokens():
    tokens, edges = extract_dataflow('def f(é):\n    ß = é + "日本"  # ü\n    return ß', "python")
    assert tokens == ["def", "f", "(", "é", ")", ":", "ß", "=", "é", "+", '"日本"', "return", "ß"]
    assert ["ß", 12, "comesFrom", ["ß"], [6]] in edges
    assert ["é", 8, "comesFrom", ["é"], [3]] in edges


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def f(a):\n    '''doc'''\n    # c\n    return a  # c"),
        ("java", "int f(int a) { /* c */ return a; // c\n}"),
        ("javascript", "function f(a) { /* c */ return a; // c\n}"),
        ("php", "function f($a) { /* c */ return $a; # c\n}"),
        ("ruby", "def f(a)\n  # c\n  return a\nend"),
        ("go", "func f(a int) int { /* c */ return a // c\n}"),
    ],
)
def test_comments_do_not_become_tokens(language, code):
    tokens, edges = extract_dataflow(code, language)
    assert not any("c" in token or "doc" in token for token in tokens if token not in ("function", "func"))
    assert len(edges) == 2
    assert edges[1][2:] == ["comesFrom", ["a"], [edges[0][1]]]


@pytest.mark.parametrize(
    ("language", "code", "first", "last"),
    [
        ("java", "public Foo(int x) {\n  this.x = x;\n}", "public", "}"),
        ("java", "public Foo(int x) {\n  this.x = x;\n} // end", "public", "}"),
        ("php", "private static function f($x) {\n  $y = $x;\n  return $y;\n}", "<?php", "?>"),
        ("php", "<?php function f($x) { $y = $x; return $y; }", "<?php", "}"),
        ("javascript", "async send(x) {\n  const y = x;\n  return y;\n}", "async", "}"),
        ("javascript", "function (x) {\n  const y = x;\n  return y;\n}", "function", "}"),
        ("javascript", "'send': function (x) {\n  const y = x;\n  return y;\n}", "'send'", "}"),
    ],
)
def test_a_method_without_its_class_has_its_flow(language, code, first, last):
    tokens, edges = extract_dataflow(code, language)
    assert (tokens[0], tokens[-1]) == (first, last)
    assert "class" not in tokens
    assert sum(bool(edge[4]) for edge in edges) >= 2
    assert not dataflow.unparsed


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_that_does_not_parse_is_counted_and_warned_of_once(language, caplog):
    with caplog.at_level(logging.DEBUG, logger="src.dataflow"):
        tokens, edges = extract_dataflow(BROKEN[language], language)
        extract_dataflow(BROKEN[language], language)
    assert dataflow.unparsed == {language: 2}
    assert f"expected a function in {language}, found a syntax error at its line" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"]
    assert edges == []
    assert {"f", "=", "("} <= set(tokens)
    assert "" not in tokens


@pytest.mark.parametrize("language", LANGUAGES)
def test_empty_code_gives_no_edges(language):
    tokens, edges = extract_dataflow("", language)
    assert tokens == (["<?php", "?>"] if language == "php" else [])
    assert edges == []


def test_an_unknown_language_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="found 'javascipt'; did you mean 'javascript'"):
        extract_dataflow("x", "javascipt")


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match="surrogate"):
        extract_dataflow("x = '\ud800'", "python")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "x = " + "(" * 3000 + "a" + ")" * 3000),
        ("java", "void f() { " + "if (a) { " * 2000 + "x = b; " + "} " * 2000 + "}"),
        ("javascript", "let x = " + "f(" * 3000 + "a" + ")" * 3000 + ";"),
        ("php", "if ($a) { $x = $b; } " + "else if ($a) { $x = $b; } " * 1000),
        ("ruby", "x = " + "[" * 3000 + "a" + "]" * 3000),
        ("go", "func f() { " + "for { " * 2000 + "x = b; " + "} " * 2000 + "}"),
    ],
)
def test_deep_nesting_stays_within_the_recursion_limit(language, code):
    assert any(edge[0] == "x" and edge[4] for edge in extract_dataflow(code, language)[1])
    assert not dataflow.unparsed


def test_nested_loops_take_less_than_exponential_time():
    names = "abcdefgh"
    body = " ".join(f"{x} = {y};" for x, y in zip(names, names[1:] + "a"))
    loops = "".join(f"while (a < {i}) {{ {body} " for i in range(30))
    started = time.monotonic()
    edges = extract_dataflow(f"void f() {{ {loops} {'}' * 30} }}", "java")[1]
    assert time.monotonic() - started < 5  # 2^30 passes would take days
    assert len(edges) > 8 * 30
