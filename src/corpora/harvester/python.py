"""Python: docstrings, which are statements instead of comments."""

import ast
import re
import warnings
from collections.abc import Sequence
from inspect import cleandoc

from tree_sitter import Node

from src.corpora.harvester.base import Doc, Language

_EPYDOC = re.compile(r"^[ \t]*@\w+.*\Z", re.MULTILINE | re.DOTALL)
_INDENTED_DIRECTIVE = re.compile(r"^\.\. .*(?:\n[ \t]*\n|\n[ \t]+\S.*)*", re.MULTILINE)


class Python(Language):
    name = "python"
    suffixes = (".py",)
    query = """
        (function_definition) @function (class_definition) @scope
        (comment) @comment
        (string) @string
        (block . (expression_statement [(string) (concatenated_string)
          (parenthesized_expression [(string) (concatenated_string)])]) @docstring . (_))
    """
    # A docstring that is the whole body stays: the code would not parse without it.
    may_document = re.compile(rb"[\"']")
    test_files = r"test_.*\.py|.*_test\.py|conftest\.py|tests?\.py"

    def doc(self, node: Node, comments: Sequence[Node], source: bytes) -> Doc | None:
        body = node.child_by_field_name("body")
        statements = () if body is None else map(body.named_child, range(8))  # comments may stand before the docstring
        first = next((statement for statement in statements if statement is None or statement.type != "comment"), None)
        if first is None or first.type != "expression_statement":
            return None
        literal = first.named_child(0)
        while literal is not None and literal.type == "parenthesized_expression":
            literal = literal.named_child(0)
        if literal is None or literal.type not in ("string", "concatenated_string"):
            return None
        text = _value(source[first.start_byte : first.end_byte].decode())
        return Doc(cleandoc(text), node.start_byte) if text.strip() else None

    def strip_tags(self, text: str) -> str:
        return _EPYDOC.sub("", _INDENTED_DIRECTIVE.sub("\n", text))

    def skips(self, name: str) -> bool:
        return name.startswith("test") or (name.startswith("__") and name.endswith("__"))


def _value(literal: str) -> str:
    """A docstring's text; empty for literals that are no docstrings: bytes, f-strings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in harvested files
        try:
            value = ast.literal_eval(literal.strip().rstrip(";"))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ""
    return value if isinstance(value, str) else ""
