"""The documented functions of a python file, each cut into its query and its bare code.

Positions come from `ast` (whose columns are UTF-8 bytes) and from `tokenize` (whose columns are characters): a
regular expression would take the `#` of `"#fff"` for a comment and the text of a multi-line string for indentation.
"""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Function:
    """A documented function or method; `name` is qualified by its classes."""

    name: str
    docstring: str
    node: FunctionNode
    lines: list[str]  # of the whole file

    @property
    def query(self) -> str:
        """The docstring's first paragraph on one line."""
        return " ".join(re.split(r"\n\s*\n", cleandoc(self.docstring).strip(), maxsplit=1)[0].split())

    @property
    def code(self) -> str:
        """From `def` on, dedented, without decorators, docstring, comments and blank lines; strings are untouched.

        Empty when the docstring is the whole body, because nothing that parses would be left.
        """
        if len(self.node.body) == 1:
            return ""
        lines = self.lines[self.node.lineno - 1 : self.node.end_lineno]
        indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
        comments, inside_string = _comments_and_strings(lines)
        for row, column in comments.items():
            lines[row] = lines[row][:column].rstrip()
        inside_string -= _remove_docstring(self.node, lines)
        kept = []
        for row, line in enumerate(lines):
            if row in inside_string:
                kept.append(line)  # dedenting it, or dropping it when blank, would change the string
            elif line.strip():
                kept.append(line.removeprefix(indent))
        return "\n".join(kept)


def documented_functions(source: str) -> Iterator[Function]:
    """Functions of the module and methods of its classes, in order; functions inside functions are left out.

    Raises what `ast.parse` raises for a source that does not parse.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in someone else's file is not our warning
        tree = ast.parse(source)
    lines = source.split("\n")  # not splitlines(): a form feed ends no line in python's grammar
    for name, node in _functions(tree, prefix=""):
        docstring = ast.get_docstring(node, clean=False)
        if docstring:
            yield Function(name, docstring, node, lines)


def _functions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, FunctionNode):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.stmt | ast.excepthandler):  # `if sys.platform == ...:` and `try: import ...`
            yield from _functions(node, prefix)


def _comments_and_strings(lines: list[str]) -> tuple[dict[int, int], set[int]]:
    """Row -> column of each comment, and the rows that begin inside a string literal (0-based)."""
    comments: dict[int, int] = {}
    inside_string: set[int] = set()
    opened: list[int] = []  # rows where the f-strings that are still open began (python >= 3.12 splits them up)
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
        kind, first, last = tokenize.tok_name[token.type], token.start[0] - 1, token.end[0] - 1
        if kind == "COMMENT":
            comments[first] = token.start[1]
        elif kind.endswith("STRING_START"):
            opened.append(first)
        elif kind == "STRING" or kind.endswith("STRING_END"):
            inside_string.update(range((first if kind == "STRING" else opened.pop()) + 1, last + 1))
    return comments, inside_string


def _remove_docstring(node: FunctionNode, lines: list[str]) -> set[int]:
    """Blank the docstring's rows in place and return them; what shares its first or last row stays."""
    statement = node.body[0]
    assert statement.end_lineno is not None  # ast.parse sets it
    first, last = statement.lineno - node.lineno, statement.end_lineno - node.lineno
    before = lines[first].encode()[: statement.col_offset].decode()
    after = lines[last].encode()[statement.end_col_offset :].decode().lstrip(" \t;")
    lines[first : last + 1] = [before + after, *[""] * (last - first)]
    return set(range(first, last + 1))
