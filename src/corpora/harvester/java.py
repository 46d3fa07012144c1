"""Java: Javadoc before methods; annotations belong to the method."""

from __future__ import annotations

import re

import tree_sitter_java

from src.corpora.harvester.base import Language
from src.corpora.harvester.block_comments import block_prose, block_text


class Java(Language):
    name = "java"
    suffixes = (".java",)
    # Constructors are left out by not being asked for.
    query = """
        (method_declaration body: (block)) @function
        (class_declaration) @scope
        (interface_declaration) @scope
        (enum_declaration) @scope
        (record_declaration) @scope
        (annotation_type_declaration) @scope
        [(block_comment) (line_comment)] @comment [(string_literal) (character_literal)] @string
    """
    depth = 7
    # After the comment, up to the first parenthesis, no sign of a field or a class; comments may hold any.
    documented = re.compile(rb"\*/[^;={(/]*[(/]")
    standard = frozenset(("toString", "hashCode", "equals", "finalize", "notify", "notifyAll", "clone"))
    test_files = r"Test[A-Z_]\w*\.java|\w*(?:Tests?|TestCase|IT)\.java|(?:package|module)-info\.java"

    def grammar(self) -> object:
        return tree_sitter_java.language()

    def text(self, comment: str) -> str:
        return block_text(comment)

    def reduce(self, text: str) -> str:
        return block_prose(text)
