"""PHP: PHPDoc before functions and methods, in files that may contain HTML."""

import re

from src.corpora.harvester.block_comments import BlockCommentLanguage


class Php(BlockCommentLanguage):
    name = "php"
    suffixes = (".php",)
    query = """
        (function_definition body: (compound_statement)) @function
        (method_declaration body: (compound_statement)) @function
        [(class_declaration) (interface_declaration) (trait_declaration) (enum_declaration)] @scope
        (comment) @comment
        [(string) (encapsed_string) (heredoc) (nowdoc) (shell_command_expression) (text_interpolation)] @string
    """
    depth = 6
    literals = re.compile(rb"[\"'`/#]|<<<|\?>")
    may_document = re.compile(rb"/\*\*")
    test_files = r".*Test(?:Case)?\.php"

    def skips(self, name: str) -> bool:
        return name.startswith("__")  # __construct, __get, ...
