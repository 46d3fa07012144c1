"""PHP: PHPDoc before functions and methods, in files that may contain HTML."""

from __future__ import annotations

import re

import tree_sitter_php

from src.corpora.harvester.block_comments import BlockCommentLanguage


class Php(BlockCommentLanguage):
    name = "php"
    suffixes = (".php",)
    query = """
        (function_definition body: (compound_statement)) @function
        (method_declaration body: (compound_statement)) @function
        (class_declaration) @scope
        (interface_declaration) @scope
        (trait_declaration) @scope
        (enum_declaration) @scope
        (comment) @comment
        [(string) (encapsed_string) (heredoc) (nowdoc) (shell_command_expression) (text_interpolation)] @string
    """
    depth = 6
    literals = re.compile(rb"[\"'`/#]|<<<|\?>")
    may_document = re.compile(rb"/\*\*")
    test_files = r".*Test(?:Case)?\.php"

    def grammar(self) -> object:
        return tree_sitter_php.language_php()

    def skips(self, name: str) -> bool:
        return name.startswith("__")  # __construct, __get, ...
