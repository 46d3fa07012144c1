"""Java: Javadoc, annotations, generics, overloads, text blocks."""

from __future__ import annotations

from tests.corpora.harvester.cases import dropped, functions, names, only

BODY = "{\n    int x = 1;\n    return x;\n}"


def in_class(source: str) -> str:
    return "package a;\n\n/** A class of its own. */\npublic class A {\n" + source + "\n}\n"


def test_annotations_and_generics_are_kept() -> None:
    method = (
        '@Override @SuppressWarnings({"unchecked", "//"})\n'
        "public <K extends Comparable<? super K>, V> Map<K, List<V>> group(\n"
        "        @Nullable final Collection<V> values, Function<V, K>... keys)\n"
        "        throws IOException, IllegalStateException {\n    return null;\n}"
    )
    source = in_class("    /** Groups the values by key. */\n    " + method.replace("\n", "\n    "))
    found = only("java", source)
    assert (found.name, found.query, found.code) == ("A.group", "Groups the values by key.", method)
    assert found.tokens[:9] == ["@Override", "@SuppressWarnings", "(", "{", '"unchecked"', ",", '"//"', "}", ")"]


def test_tags_and_markup_do_not_reach_the_query() -> None:
    comment = """    /**
     * Returns the {@code List<String>} of <b>all</b> {@linkplain Map#get(Object, int) mapped
     * values} in {@link java.util.Map}, or {@link #size()} &lt; 0.
     * <p>Second paragraph.
     *
     * @param a the first
     * @return something
     */
"""
    expected = "Returns the List<String> of all mapped values in java.util.Map, or size() < 0."
    assert only("java", in_class(f"{comment}    int f(int a) {BODY}")).query == expected


def test_a_doc_comment_without_prose_gives_no_query() -> None:
    for comment in ("/** @return the size of it */", "/** {@inheritDoc} */", "/***\n * banner of stars\n */", "/**/"):
        assert functions("java", in_class(f"{comment}\nint f() {BODY}")) == []


def test_a_plain_comment_documents_no_method() -> None:
    for comment in ("/* Not a doc comment. */", "// Not a doc comment.", "/** For the field below. */\nint y;"):
        assert functions("java", in_class(f"{comment}\nint f() {BODY}")) == []


def test_overloads_stay_separate_functions() -> None:
    one, two = (
        f"/** Adds {what} numbers up. */\nint add({args}) {BODY}\n" for what, args in (("two", "int a"), ("three", ""))
    )
    found = functions("java", in_class(one + two))
    assert [(f.name, f.query) for f in found] == [
        ("A.add", "Adds two numbers up."),
        ("A.add", "Adds three numbers up."),
    ]


def test_a_comment_sign_inside_a_text_block_is_kept() -> None:
    code = (
        'String f() {\n    String s = """\n\n        /* no */ // no\n      """;\n    char c = \'"\';\n    return s;\n}'
    )
    source = in_class(f"/** Returns a text block. */\n{code.replace('return', '/* yes */ return // yes' + chr(10))}")
    assert only("java", source).code == code.replace("    return s", "     return\n s")


def test_nested_types_are_part_of_the_name() -> None:
    inner = f"/** Does the inner work. */\nint f() {BODY}\n"
    source = in_class(
        f"enum E {{ X; {inner} }} interface I {{ default {inner[:0]} int z() {BODY} }} record R(int a) {{ {inner} }}"
    )
    assert names("java", source) == ["A.E.f", "A.R.f"]


def test_constructors_and_standard_methods_are_left_out() -> None:
    methods = (
        f"/** Makes an instance of it. */\nA() {BODY}\n/** Returns text for people. */\nString toString() {BODY}\n"
    )
    assert functions("java", in_class(methods)) == []
    assert dropped("java", in_class(methods)) == {"constructor, standard method or test": 1}


def test_a_method_of_a_local_class_stays_inside_its_method() -> None:
    inner = "    /** Runs it right now. */\n    public void run() {\n      go();\n    }\n"
    source = in_class(f"/** Runs it later on. */\nvoid f() {{\n  new Runnable() {{\n{inner}  }};\n}}")
    assert names("java", source) == ["A.f"]
    assert "right now" not in only("java", source).code


def test_an_abstract_method_is_left_out() -> None:
    assert functions("java", in_class("/** Is defined further down. */\nabstract int f(\n  int a,\n  int b\n);")) == []


def test_a_comment_between_two_tokens_leaves_them_separate() -> None:
    source = in_class("/** Returns it at once. */\nint f() {\n  int/* a */x = 1;\n  return/* b\n  */x;\n}")
    assert only("java", source).code == "int f() {\n  int x = 1;\n  return\nx;\n}"


def test_indentation_by_tabs_is_removed() -> None:
    source = in_class("\t/** Is indented by tabs. */\n\tint f() {\n\t\treturn 1;\n\t}")
    assert only("java", source).code == "int f() {\n\treturn 1;\n}"


def test_a_comment_sign_inside_a_string_is_kept() -> None:
    code = (
        'String f(\n    @Pattern("/* no") String a,\n    int... b\n) {\n'
        '    String s = "// no \\" /* no */" + \'\\\'\' + "*/";\n    return s;\n}'
    )
    commented = code.replace("int... b", "int... /* yes */ b // yes").replace("    return", '    // "yes\n    return')
    found = only("java", in_class(f"/** Returns the text of it. */\n{commented}"))
    assert found.code == code.replace("... b", "...  b")
    assert r'"// no \" /* no */"' in found.tokens


def test_overloads_with_generics_keep_their_own_bodies() -> None:
    one = "@A(b = {1, 2}) @SafeVarargs\n<T extends A & B> List<? super T> of(T a) {\n    return List.<T>of(a);\n}"
    two = "<T> List<T[]> of(T[]... a) {\n    Runnable r = () -> {\n    };\n    return new ArrayList<>() {\n    };\n}"
    source = f"/** Makes a list of one. */\n{one}\n/**\n * Makes a list of many.\n * @param <T> kind\n */\n{two}"
    assert [(found.query, found.code) for found in functions("java", in_class(source))] == [
        ("Makes a list of one.", one),
        ("Makes a list of many.", two),
    ]
