"""Java: Javadoc before methods; annotations belong to the method."""

import re

from src.corpora.harvester.block_comments import BlockCommentLanguage


class Java(BlockCommentLanguage):
    name = "java"
    suffixes = (".java",)
    # Constructors are other nodes, and not in this query.
    query = """
        (method_declaration body: (block)) @function
        [(class_declaration) (interface_declaration) (enum_declaration) (record_declaration)
          (annotation_type_declaration)] @scope
        [(block_comment) (line_comment)] @comment [(string_literal) (character_literal)] @string
    """
    depth = 7
    # No character of a field or a class between the comment and the first parenthesis or another comment.
    may_document = re.compile(rb"\*/[^;={(/]*[(/]")
    standard_methods = frozenset(("toString", "hashCode", "equals", "finalize", "notify", "notifyAll", "clone"))
    test_files = r"Test[A-Z_]\w*\.java|\w*(?:Tests?|TestCase|IT)\.java|(?:package|module)-info\.java"
