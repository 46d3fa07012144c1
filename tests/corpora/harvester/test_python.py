"""Python: docstrings, decorators, nested functions."""

from __future__ import annotations

import pytest

from tests.corpora.harvester.cases import dropped, functions, names, only


def test_decorators_comments_and_docstring_are_removed_from_the_code() -> None:
    source = (
        "class A:\n    @property\n    @deprecated('use g')\n    async def f(\n        self, a: str = '#',  # yes\n"
        "    ) -> dict[str, int]:\n        # yes\n        '''Return the value.\n\n        More.\n        '''\n\n"
        "        x = f'''{a}\n\n      # no'''  # yes\n        return x\n"
    )
    found = only("python", source)
    assert (found.name, found.query) == ("A.f", "Return the value.")
    assert found.code == (
        "async def f(\n    self, a: str = '#',\n) -> dict[str, int]:\n    x = f'''{a}\n\n      # no'''\n    return x"
    )
    assert (found.start_line, found.end_line) == (4, 16)


def test_a_nested_function_stays_inside_its_function() -> None:
    source = (
        'def f(a):\n    """Make a function of it."""\n'
        '    def g(b):\n        """Add the two numbers."""\n        return a + b\n'
        '    class C:\n        """A class."""\n    return g, C\n'
    )
    code = 'def f(a):\n    def g(b):\n        return a + b\n    class C:\n        """A class."""\n    return g, C'
    assert only("python", source).code == code


@pytest.mark.parametrize(
    ("docstring", "query"),
    [
        ('"""Return the sum of it.\n\n    Args:\n        a: one\n    """', "Return the sum of it."),
        ('"""\n    Return the sum\n    of it.\n    :param a: one\n    :return: sum\n    """', "Return the sum of it."),
        ('r"""Return the sum of it.\n    Args:\n        a: one\n    """', "Return the sum of it."),
        ('"""f(a, b=(1, 2)) -> int\n\n    Return the sum of it."""', "Return the sum of it."),
        ('"""Return the :class:`~a.b.Sum` of ``it``, *always*."""', "Return the a.b.Sum of it, always."),
        ('("Return the sum "\n     "of it.")', "Return the sum of it."),
        ('"""Return the sum of it.\n    >>> f(1)\n    """', "Return the sum of it."),
        ('"""\n    Sum\n    ===\n\n    Return the sum of it.\n    """', "Return the sum of it."),
        ('"""\n    .. deprecated:: 1.2\n       Use g.\n\n    Return the sum of it."""', "Return the sum of it."),
        ('"""Return the sum of it.\n    @param a: one"""', "Return the sum of it."),
        ('"\\tReturn the \\x73um of it.\\n\\n"', "Return the sum of it."),
        ('"""Return a sum.\n\n    Parameters\n    ----------\n    a : int\n    """', "Return a sum."),
    ],
)
def test_fields_and_markup_do_not_reach_the_query(docstring: str, query: str) -> None:
    found = only("python", f"def f(a, b):\n    {docstring}\n    c = a + b\n    return c\n")
    assert (found.query, found.code) == (query, "def f(a, b):\n    c = a + b\n    return c")


@pytest.mark.parametrize("docstring", ['f"""Return the {sum} of it."""', 'b"""Return the sum of it."""', '"" ""'])
def test_a_string_that_is_no_docstring_gives_no_query(docstring: str) -> None:
    assert functions("python", f"def f(a):\n    {docstring}\n    b = a\n    return b\n") == []


def test_an_overload_without_a_body_is_left_out() -> None:
    source = 'def f(\n    a,\n):\n    """Return the sum of it."""\n\n@overload\ndef f(a): ...\n'
    assert names("python", source) == ["f"]  # its docstring is the body, and stays
    assert '"""' in only("python", source).code


def test_a_docstring_on_the_line_of_other_statements_is_removed_alone() -> None:
    source = "def f(a): 'Return the sum.'; b = (\n    a,\n); return b\n"
    assert only("python", source).code == "def f(a): b = (\n    a,\n); return b"


def test_dunders_and_tests_are_left_out() -> None:
    body = '(self):\n    """Do the right thing."""\n    a = 1\n    return a\n'
    assert dropped("python", f"def __enter__{body}def test_it{body}") == {"constructor, standard method or test": 2}


def test_non_ascii_text_crlf_tabs_and_bom_leave_the_cut_in_place() -> None:
    source = "x = '日本'\ndef ä(ö='é'):\n\t'''Return the sum.'''\n\tb = ö  # ü\n\treturn b\n"
    found = only("python", b"\xef\xbb\xbf" + source.replace("\n", "\r\n").encode())
    assert (found.name, found.code) == ("ä", "def ä(ö='é'):\n\tb = ö\n\treturn b")
    assert (found.start_line, found.end_line) == (2, 5)


def test_a_broken_function_is_dropped_alone() -> None:
    good = 'def good(a):\n    """Do the right thing."""\n    b = a\n    return b\n'
    assert names("python", good + good.replace("good", "bad").replace("b = a", "b = = a") + good) == ["good", "good"]


def test_overloads_of_one_name_keep_their_own_bodies() -> None:
    source = (
        '@typing.overload\ndef f(a: int) -> int:\n    """Return the number."""\n    x = "# no"\n    ...\n\n'
        "@typing.overload\ndef f(\n    a: str,  # yes\n) -> str: ...\n\n"
        'def f(a):\n    """Return what it is given."""\n\n    b = a\n    return b\n    # yes\n\nf(1)\n'
    )
    assert [(found.name, found.query, found.code) for found in functions("python", source)] == [
        ("f", "Return the number.", 'def f(a: int) -> int:\n    x = "# no"\n    ...'),
        ("f", "Return what it is given.", "def f(a):\n    b = a\n    return b"),
    ]
