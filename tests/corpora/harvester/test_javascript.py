"""JavaScript: JSDoc, arrow functions, class fields, template literals, regular expressions."""

from __future__ import annotations

import pytest

from tests.corpora.harvester.cases import dropped, functions, names, only

BODY = "{\n  const x = 1;\n  return x;\n}"
DOC = "/** Does the right thing. */\n"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (f"function f(a, b = '/*') {BODY}", "f"),
        (f"async function* f() {BODY}", "f"),
        (f"export default async function f() {BODY}", "f"),
        (f"export default function () {BODY}", ""),
        (f"export const f = async ({{ a, ...b }}) => {BODY}", "f"),
        (f"const f = a => {BODY}", "f"),
        ("let f = (a) =>\n  a\n    .b()", "f"),
        (f"var f = function g() {BODY}", "f"),
        (f"module.exports = exports.f = function () {BODY}", "exports.f"),
        (f"Type.prototype.f = function () {BODY}", "Type.prototype.f"),
        (f"Type['f'] = function () {BODY}", "Type['f']"),
    ],
)
def test_every_way_to_write_a_function_is_found(code: str, name: str) -> None:
    found = only("javascript", f"'use strict';\n\n{DOC}{code};\n")
    assert (found.name, found.query, found.code) == (name, "Does the right thing.", code)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (f"f() {BODY}", "A.f"),
        (f"static async *f() {BODY}", "A.f"),
        (f"get f() {BODY}", "A.f"),
        (f"#f() {BODY}", "A.#f"),
        (f"@bound('/**') f() {BODY}", "A.f"),
        (f"f = (a) => {BODY}", "A.f"),
        (f"static #f = async function () {BODY}", "A.#f"),
    ],
)
def test_every_kind_of_class_member_is_found(code: str, name: str) -> None:
    found = only("javascript", f"export class A extends B {{\n{DOC}{code}\n}}\n")
    assert (found.name, found.code) == (name, code)


@pytest.mark.parametrize(("code", "name"), [(f"f() {BODY}", "f"), (f"'f-g': function () {BODY}", "'f-g'")])
def test_a_member_of_an_object_is_found(code: str, name: str) -> None:
    found = only("javascript", f"(function () {{\n  const o = {{\n{DOC}{code},\n  }};\n}})();\n")
    assert (found.name, found.code) == (name, code)


def test_a_comment_sign_inside_a_literal_is_kept() -> None:
    code = (
        "function f(a) {\n"
        "  const t = `// no ${a ? `/* no */` : '//'}\n\n"
        "     https://x.y\n"
        "  `;\n"
        "  return /[/*]\\/\\//.test(t) && a / 2 / 3;\n"
        "}"
    )
    commented = code.replace("`;\n", "`; // yes\n  /* yes\n   * yes */\n\n").replace("a / 2", "a /* yes */ / 2")
    found = only("javascript", DOC + commented)
    assert found.code == code.replace("a / 2", "a  / 2")
    assert "/[/*]\\/\\//" in found.tokens
    assert found.tokens[9] == "`// no ${a ? `/* no */` : '//'}\n\n     https://x.y\n  `"


def test_a_comment_of_something_else_documents_no_function() -> None:
    for source in (
        f"/** The number of them all. */\nconst n = 1;\nfunction f() {BODY}",
        f"/* Not a doc comment at all. */\nfunction f() {BODY}",
        f"const r = /a/**/ 2;\nfunction f() {BODY}",
        f"/** Calls back when done. */\nrun(function () {BODY});",
        f"/** A whole class of them. */\nclass A {{\n  f() {BODY}\n}}",
    ):
        assert functions("javascript", source) == []


@pytest.mark.parametrize(
    ("comment", "query"),
    [
        ("/**\n * Adds two numbers.\n * @param {number} a\n */", "Adds two numbers."),
        ("/**\n * @public\n * @description Adds two\n * numbers.\n * @return {number} sum\n */", "Adds two numbers."),
        ("/**\n * Adds `two` **big** [numbers](#n).\n * ```js\n * add(1)\n * ```\n */", "Adds two big numbers."),
        ("/**\n * add(a, b) -> number\n *\n * Adds two numbers.\n */", "Adds two numbers."),
        ("/**\n * # Add\n *\n * Adds two numbers.\n *\n * Example:\n *     add(1)\n */", "Adds two numbers."),
        ("/**\n * Adds two numbers.\n * Example: add(1, 2)\n */", "Adds two numbers."),
    ],
)
def test_tags_and_markup_do_not_reach_the_query(comment: str, query: str) -> None:
    assert only("javascript", f"{comment}\nfunction add(a, b) {BODY}\n").query == query


@pytest.mark.parametrize(
    ("comment", "reason"),
    [
        ("/** @type {Foo} */", "no prose in the doc comment"),
        ("/** Adds it. */", "query under 3 words"),
        ("/** As in [this paper](https://x.y). */", "query with a link or an image"),
        ("/** Looks like <img src=x> this one. */", "query with a link or an image"),
        ("/** Ajoute deux numéros, voilà. */", "query not English"),
        ("/** Alias for Other#add. */", "query only refers to another"),
        ("/**\n * Copyright (c) 2020 Somebody\n * All rights reserved.\n */", "licence header"),
    ],
)
def test_a_comment_that_describes_nothing_is_dropped_with_its_reason(comment: str, reason: str) -> None:
    assert dropped("javascript", f"{comment}\nfunction add(a, b) {BODY}\n") == {reason: 1}


def test_a_function_inside_an_undocumented_one_is_found() -> None:
    inner = f"{DOC}function f() {BODY}\n"
    assert names("javascript", f"function outer() {{\n{inner}}}\n{DOC}function g() {{\n{inner}}}\n") == ["f", "g"]


def test_a_short_function_is_dropped() -> None:
    assert dropped("javascript", f"{DOC}const f = (a) => {{\n  // one\n\n  /* two */ }};") == {"code under 3 lines": 1}


def test_a_multi_line_signature_is_kept() -> None:
    code = (
        "static async *pages(\n  { first = '// no', ...rest } = {}, // why\n  [a, /* why */ b],\n  ...more\n) {\n"
        "  const g = async () => {\n    await more; // why\n  };\n\n  /** Is documented too. */\n"
        "  function inner(c) {\n    return c;\n  }\n}"
    )
    found = only("javascript", f"class A {{\n{DOC}{code}\n}}\n")
    assert (found.name, found.code) == (
        "A.pages",
        "static async *pages(\n  { first = '// no', ...rest } = {},\n  [a,  b],\n  ...more\n) {\n"
        "  const g = async () => {\n    await more;\n  };\n  function inner(c) {\n    return c;\n  }\n}",
    )


def test_accessors_of_one_name_stay_separate_functions() -> None:
    get, put = f"get f() {BODY}", f"set f(v) {BODY}"
    source = f"class A {{\n/** Returns what it holds. */\n{get}\n/** Changes what it holds. */\n{put}\n}}\n"
    assert [(found.name, found.query, found.code) for found in functions("javascript", source)] == [
        ("A.f", "Returns what it holds.", get),
        ("A.f", "Changes what it holds.", put),
    ]
