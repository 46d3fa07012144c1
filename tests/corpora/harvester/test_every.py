"""Functions of an index: all that have a name, not only those that document themselves."""

from __future__ import annotations

from collections import Counter

import pytest

from src.config.choices import NAMES
from src.corpora.harvester.extract import Function, extract_all
from src.corpora.harvester.languages import LANGUAGES


def functions(language: str, source: str) -> list[Function]:
    return list(extract_all(LANGUAGES[language], source.encode(), Counter()))


def test_the_language_names_are_those_with_a_grammar() -> None:
    assert tuple(LANGUAGES) == NAMES


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("python", "class A:\n    def __init__(self): pass\n\n    async def x(self):\n        def y(): pass\n", [
            ("A.__init__", 2, 2), ("A.x", 4, 5), ("A.x.y", 5, 5),
        ]),
        ("javascript", "/** Adds. */\nexport const add = (a, b) => a + b;\nitems.map(x => x + 1);\n"
         "(function () { function hidden() { return 2 } })();\nclass B { go(x) {} }\n", [
            ("add", 2, 2), ("hidden", 4, 4), ("B.go", 5, 5),
        ]),
        ("go", "package a\n\nfunc main() {\n}\n\n// Bar sends.\nfunc (s *Srv) Bar() int { return 1 }\n", [
            ("main", 3, 4), ("Srv.Bar", 7, 7),
        ]),
        ("java", "class A {\n  /** Doc. */\n  @Override\n  int f(int x) { return x; }\n  int g() { return 2; }\n}", [
            ("A.f", 3, 4), ("A.g", 5, 5),
        ]),
        ("ruby", "class A\n  def x\n    1\n  end\n  private def self.y(a) = a\nend\n", [("A.x", 2, 4), ("A.y", 5, 5)]),
        ("php", "<p>hi</p><?php class B { public function __construct() { echo 1; } }\nfunction c() { return 2; }\n", [
            ("B.__construct", 1, 1), ("c", 2, 2),
        ]),
    ],
)  # fmt: skip
def test_every_function_is_found_with_its_lines(language: str, source: str, expected: list) -> None:
    found = [(function.name, function.start_line, function.end_line) for function in functions(language, source)]
    assert found == expected


def test_comments_and_docstrings_stay_in_the_source_but_not_in_the_code() -> None:
    source = 'class A:\n    def f(x):\n        """Adds one.\n\n        More."""\n        # why\n        return x + 1\n'
    [function] = functions("python", source)
    assert function.query == "Adds one."
    assert function.source == 'def f(x):\n    """Adds one.\n\n    More."""\n    # why\n    return x + 1'
    assert function.code == "def f(x):\n    return x + 1"


def test_an_undocumented_function_does_not_take_the_documentation_of_another() -> None:
    source = "package a\n\n// One does.\nfunc One() {}\n\nfunc Two() {}\n"
    assert [(function.name, function.query) for function in functions("go", source)] == [
        ("One", "One does."),
        ("Two", ""),
    ]
