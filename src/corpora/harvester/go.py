"""Go: line comments directly above the function, without directives; a method is qualified by its receiver."""

import re

from tree_sitter import Node

from src.corpora.harvester.base import Language, node_text

_DIRECTIVE = re.compile(r"//(?:go:|export |extern |line |nolint|lint:|sys |\s*\+build)")
_RECEIVER = re.compile(r"\(\s*(?:\w+\s+)?\*?\s*(\w+)")
_DOC_LINK = re.compile(r"\[\*?((?:\w+\.)*[A-Z]\w*(?:\.\w+)?)\](?![(\[:])")


class Go(Language):
    name = "go"
    suffixes = (".go",)
    query = """
        (function_declaration body: (block)) @function
        (method_declaration body: (block)) @function
        (comment) @comment [(raw_string_literal) (interpreted_string_literal) (rune_literal)] @string
    """
    depth = 1
    may_document = re.compile(rb"(?://[^\n]*|\*/[^\w\n]*)\n[^\w\n/]*func\b")
    standard_methods = frozenset(("init", "main"))
    test_files = r".*_test\.go"
    line_comments = True

    def text(self, comment: str) -> str:
        if comment.startswith("/*"):
            return comment[2:-2]
        lines = [line.strip() for line in comment.split("\n")]
        prose = [line[2:].removeprefix(" ") for line in lines if not _DIRECTIVE.match(line)]
        return "\n".join(prose)

    def strip_tags(self, text: str) -> str:
        return _DOC_LINK.sub(r"\1", text)

    def qualifier(self, node: Node) -> str:
        match = _RECEIVER.match(node_text(node.child_by_field_name("receiver")))
        return match[1] if match else ""
