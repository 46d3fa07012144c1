"""Go: receivers, line comments, raw strings."""

from __future__ import annotations

import pytest

from tests.corpora.harvester.cases import dropped, functions, names, only

BODY = "{\n\tx := 1\n\treturn x\n}\n"


def test_a_comment_sign_inside_a_string_is_kept() -> None:
    source = (
        "package a\n\n// Join joins the parts with a slash.\nfunc Join(a, b string) string { // why\n"
        '\ts := "// no" + `/* no\n\n\t// no */`\n\t/* yes */ r := \'"\' // yes\n\n\treturn s\n}\n'
    )
    found = only("go", source)
    assert found.query == "Join joins the parts with a slash."
    assert found.code == (
        'func Join(a, b string) string {\n\ts := "// no" + `/* no\n\n\t// no */`\n\t r := \'"\'\n\treturn s\n}'
    )
    assert (found.start_line, found.end_line) == (4, 11)
    assert found.tokens == [
        *["func", "Join", "(", "a", ",", "b", "string", ")", "string", "{", "s", ":=", '"// no"', "+"],
        *["`/* no\n\n\t// no */`", "r", ":=", "'\"'", "return", "s", "}"],
    ]


def test_the_type_of_a_receiver_is_part_of_the_name() -> None:
    sources = [
        f"// Len returns the number of items.\nfunc ({receiver}) Len() int {BODY}"
        for receiver in ("s *Stack[T]", "Queue", "q *Queue", "*List[K, V]")
    ]
    assert names("go", "package a\n" + "\n".join(sources)) == ["Stack.Len", "Queue.Len", "Queue.Len", "List.Len"]


def test_the_query_is_the_first_paragraph_of_a_line_comment() -> None:
    source = (
        "package a\n\nvar x = 1 // not a doc comment\n\n//go:noinline\n"
        "// Max returns the larger\n// of [Number] values:\n//\n"
        "//\tMax(1, 2)\n//\n// Second.\n//go:nosplit\nfunc Max[T Number](a, b T) T " + BODY
    )
    assert only("go", source).query == "Max returns the larger of Number values:"


@pytest.mark.parametrize(
    "source",
    [
        f"package a\n\n// Too far away from it.\n\nfunc F() int {BODY}",
        f"package a\n\nvar x = 1 // Describes another thing entirely.\nfunc F() int {BODY}",
        f"// Package a does a lot.\npackage a\n\nfunc F() int {BODY}",
        "package a\n\n// F has no body here.\nfunc F() int\n",
    ],
)
def test_a_comment_of_something_else_documents_no_function(source: str) -> None:
    assert functions("go", source) == []


def test_a_multi_line_signature_is_kept() -> None:
    signature = "func F(\n\ta int,\n\tb ...map[string]int,\n) (\n\tn int, err error,\n)"
    source = f"package a\n\n/*\nF reads all of it.\n\nMore.\n*/\n{signature} {BODY}"
    found = only("go", source)
    assert (found.query, found.code) == ("F reads all of it.", f"{signature} {BODY}".strip())


def test_a_function_literal_stays_inside_its_function() -> None:
    source = (
        "package a\n\n// F calls it at once.\nfunc F() {\n"
        "\t// g is documented too.\n\tg := func() int {\n\t\treturn 1\n\t}\n"
        "\tg()\n}\n"
    )
    assert only("go", source).code == "func F() {\n\tg := func() int {\n\t\treturn 1\n\t}\n\tg()\n}"


def test_a_broken_function_is_dropped_alone() -> None:
    good = f"// Good is a good one.\nfunc Good() int {BODY}\n"
    source = f"package a\n\n{good}// Bad is a bad one.\nfunc Bad() int {{\n\tx := (\n\treturn x\n}}\n"
    counts = dropped("go", source)
    assert names("go", source) == ["Good"]
    assert counts == {"does not parse": 1}


def test_non_ascii_text_leaves_the_cut_in_place() -> None:
    source = f'package a\n\nvar ä = "日本" // ö\n\n// F returns the größe™.\nfunc Ж() int {BODY}'
    assert dropped("go", source) == {"query not English": 1}
    found = only("go", source.replace("größe™", "size – it’s “one”"))
    assert (found.name, found.query) == ("Ж", 'F returns the size - it\'s "one".')
    assert found.code == f"func Ж() int {BODY}".strip()


def test_crlf_and_bom_do_not_reach_the_code() -> None:
    body = BODY.replace("1", "`a\nb`")
    source = f"package a\n\n// F is on a Windows disk.\nfunc F() any {body}"
    found = only("go", b"\xef\xbb\xbf" + source.replace("\n", "\r\n").encode())
    assert found == only("go", source)
    assert "\r" not in found.code


def test_a_method_of_a_generic_receiver_keeps_its_types() -> None:
    method = (
        "func (m *Map[K, V]) Each(\n\tvisit func(K, V) bool,\n) (seen int, err error) {\n\tfor k, v := range m.all {\n"
        "\t\tgo func() { visit(k, v) }()\n\t}\n\treturn len(`// no`), nil\n}"
    )
    commented = method.replace("bool,", "bool, // yes").replace("{ visit", "{ /* yes */ visit")
    found = only("go", f"package a\n\n// Each calls visit for all of them.\n{commented}\n")
    assert (found.name, found.code) == ("Map.Each", method.replace("{ visit", "{  visit"))
