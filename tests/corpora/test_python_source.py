"""Cutting a function into query and code must neither change the code nor leave its description inside."""

from __future__ import annotations

import ast
from pathlib import Path

from src.corpora.python_source import documented_functions


def only(source: str) -> tuple[str, str]:
    """Query and code of the one documented function."""
    [found] = documented_functions(source)
    return found.query, found.code


def test_comment_sign_inside_a_string_is_kept() -> None:
    source = 'def f():\n    """Doc of f."""\n    a = "#fff"  # red\n    # alone\n    return a\n'
    assert only(source)[1] == 'def f():\n    a = "#fff"\n    return a'


def test_non_ascii_text_does_not_shift_the_cut() -> None:
    source = 'def f(ä="é"): "Dôc ü."; b = "日本"; return b  # ö\n'
    assert only(source) == ("Dôc ü.", 'def f(ä="é"): b = "日本"; return b')


def test_multi_line_string_is_neither_dedented_nor_stripped_of_blank_lines() -> None:
    string = '"""a   \n\n        # b\n        """'
    source = f'class A:\n    def f(self):\n        """Doc."""\n\n        x = {string}  # c\n        return x\n'
    assert only(source)[1] == f"def f(self):\n    x = {string}\n    return x"


def test_multi_line_f_string_is_untouched() -> None:  # its tokens are other ones from python 3.12 on
    string = 'f"""\n        {self:{self}}  # no comment\n    """'
    source = f'class A:\n    def f(self):\n        "Doc."\n        return {string}\n'
    assert only(source)[1] == f"def f(self):\n    return {string}"


def test_long_docstring_leaves_no_blank_lines_behind() -> None:
    source = 'def f():\n    """One.\n\n    Two.\n    """\n\n    a = 1\n\n    return a\n'
    assert only(source)[1] == "def f():\n    a = 1\n    return a"


def test_docstring_in_pieces_or_in_parentheses_is_removed_whole() -> None:
    source = 'def f():\n    ("Doc "\n     "of f.")  # why\n    a = 1\n    return a\n'
    assert only(source) == ("Doc of f.", "def f():\n    a = 1\n    return a")


def test_form_feed_does_not_count_as_a_line_end() -> None:
    source = 'x = 1\n\f\ndef f():\n    "Doc."\n    a = "\f"\n    return a\n'
    assert only(source)[1] == 'def f():\n    a = "\f"\n    return a'


def test_query_is_the_first_paragraph_on_one_line() -> None:
    assert (
        only('def f():\n    """One\n      two  three.\n   \n    Second.\n    """\n    return 1\n')[0]
        == "One two three."
    )
    assert only('def f():\n    """\n\n    Late start.\n\n    Second.\n    """\n    return 1\n')[0] == "Late start."


def test_decorators_are_removed_from_the_code() -> None:
    source = 'class A:\n    @deprecated("use g")\n    async def f(self):\n        "Doc."\n        return 1\n'
    assert only(source)[1] == "async def f(self):\n    return 1"


def test_methods_and_conditional_functions_are_found_but_not_inner_ones() -> None:
    source = (
        "try:\n    import x\nexcept ImportError:\n"
        '    def f():\n        "Doc."\n        def inner():\n            "Doc."\n'
        'class A:\n    class B:\n        def g(self):\n            "Doc."\n            return 1\n'
    )
    assert [found.name for found in documented_functions(source)] == ["f", "A.B.g"]


def test_a_function_of_only_a_docstring_leaves_no_code() -> None:
    assert only('def f(\n    a,\n    b,\n):\n    """Doc."""\n')[1] == ""


def test_real_code_means_the_same_as_the_original() -> None:
    root, compared = Path(ast.__file__).parent, 0
    for path in sorted((root / "email").glob("*.py")):
        for found in documented_functions(path.read_text("utf-8")):
            if code := found.code:
                found.node.body.pop(0)
                found.node.decorator_list.clear()
                assert ast.dump(ast.parse(code).body[0]) == ast.dump(found.node), found.name
                compared += 1
    assert compared > 100
