"""PHP: PHPDoc before functions and methods, in files that may be half HTML."""

from __future__ import annotations

import re

import tree_sitter_php

from src.corpora.harvester.base import Language
from src.corpora.harvester.block_comments import block_prose, block_text


class Php(Language):
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
    inside = re.compile(rb"[\"'`/#]|<<<|\?>")
    documented = re.compile(rb"/\*\*")
    test_files = r".*Test(?:Case)?\.php"

    def grammar(self) -> object:
        return tree_sitter_php.language_php()

    def text(self, comment: str) -> str:
        return block_text(comment)

    def reduce(self, text: str) -> str:
        return block_prose(text)

    def skips(self, name: str) -> bool:
        return name.startswith("__")  # __construct, __get, ...
