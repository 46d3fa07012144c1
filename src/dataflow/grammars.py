"""For each language: the rules of its node kinds, and the code to put around a function to parse it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tree_sitter import Language, Parser

from src.dataflow.flow import COMES_FROM
from src.dataflow.lowering import KEYWORD, NAME, OTHER, WHOLE, Leaf, Rule
from src.dataflow.rules import (
    assignment,
    branch,
    comprehension,
    for_each,
    for_each_as,
    for_loop,
    for_loop_with_clause,
    ignore,
    matched_assignment,
    matched_for_each,
    unless_docstring,
    update,
    while_loop,
)
from src.utils.errors import InputError, nearest

DEFINITION = assignment("name", "value", COMES_FROM)
ASSIGNMENT = assignment("left", "right")
ELSE = branch(arms={"else", "if_statement"})  # the keyword is an arm that changes nothing: never exhaustive
RUBY_BRANCH = branch(arms={"elsif", "else"})

TABLES: dict[str, dict[str, Rule]] = {
    "python": {
        "expression_statement": unless_docstring,
        "default_parameter": DEFINITION,
        "assignment": matched_assignment,
        "augmented_assignment": matched_assignment,
        "for_in_clause": matched_assignment,
        "list_comprehension": comprehension,
        "set_comprehension": comprehension,
        "dictionary_comprehension": comprehension,
        "generator_expression": comprehension,
        "if_statement": branch(arms={"elif_clause", "else_clause"}, exhaustive="else_clause"),
        "for_statement": matched_for_each("left", "right"),
        "while_statement": while_loop,
    },
    "java": {
        "line_comment": ignore,
        "block_comment": ignore,
        "variable_declarator": DEFINITION,
        "assignment_expression": ASSIGNMENT,
        "update_expression": update,
        "if_statement": ELSE,
        "for_statement": for_loop("local_variable_declaration"),
        "enhanced_for_statement": for_each,
        "while_statement": while_loop,
    },
    "javascript": {  # the published extractor has no rule for a plain assignment and for-of
        "html_comment": ignore,
        "hash_bang_line": ignore,
        "variable_declarator": DEFINITION,
        "assignment_pattern": ASSIGNMENT,
        "augmented_assignment_expression": ASSIGNMENT,
        "update_expression": update,
        "if_statement": branch(arms={"if_statement"}),  # `else` continues after the first arm
        "for_statement": for_loop("variable_declaration"),  # with `let` there is no second pass
        "while_statement": while_loop,
    },
    "php": {
        "simple_parameter": assignment("name", "default_value", COMES_FROM),
        "assignment_expression": ASSIGNMENT,
        "augmented_assignment_expression": ASSIGNMENT,
        "update_expression": update,
        "if_statement": branch(arms={"else_clause", "if_statement"}),
        "else_clause": branch(arms={"else_clause", "if_statement"}),
        "for_statement": for_loop("assignment_expression"),
        "foreach_statement": for_each_as,
        "while_statement": while_loop,
    },
    "ruby": {  # the published extractor has no rule for `while`
        "keyword_parameter": DEFINITION,
        "assignment": matched_assignment,
        "operator_assignment": matched_assignment,
        "if": RUBY_BRANCH,
        "unless": RUBY_BRANCH,
        "elsif": RUBY_BRANCH,
        "else": RUBY_BRANCH,
        "when": RUBY_BRANCH,
        "for": matched_for_each("pattern", "value"),
        "until": while_loop,
        "while_modifier": while_loop,
    },
    "go": {  # no rules for `:=`, which only defines new names, and for `range`, which runs once
        "var_spec": DEFINITION,
        "assignment_statement": ASSIGNMENT,
        "inc_statement": update,  # but none for `i--`
        "if_statement": ELSE,
        "for_statement": for_loop_with_clause,
    },
}

LANGUAGES = tuple(TABLES)
FILES = {"php": (b"<?php", b"?>")}  # opening and closing of a file
CLASS = (b"class C { ", b"\n}")
EXPRESSION, PROPERTY = (b"( ", b"\n)"), (b"({ ", b"\n})")
# Tried in order for code that is no file by itself.
CONTEXTS = {"java": [CLASS], "php": [CLASS], "javascript": [EXPRESSION, CLASS, PROPERTY]}


@dataclass(frozen=True, slots=True)
class Grammar:
    """Parser and tables of a language.

    Attributes:
        parser: of the language.
        meanings: rule or leaf of each kind of node, by the kind's number.
        file, contexts: (before, after) the code to make it a file, and in the file.
    """

    parser: Parser
    meanings: Sequence[Rule | Leaf]
    file: tuple[bytes, bytes]
    contexts: list[tuple[bytes, bytes]]

    def wrappings(self, source: bytes) -> list[tuple[bytes, bytes]]:
        """(before, after): what to put around a function to parse it, in the order to try."""
        opening, closing = (b"", b"") if source.lstrip().startswith(b"<?") else self.file
        return [(opening, closing), *((opening + before, after + closing) for before, after in self.contexts)]


@cache
def grammar(language: str) -> Grammar:
    """The grammar of a language, loaded on first use.

    Raises:
        InputError: another language than `LANGUAGES`.
    """
    if language not in TABLES:
        raise InputError(
            f"expected a language among {', '.join(TABLES)}, found {language!r}{nearest(language, TABLES)}"
        )
    package = importlib.import_module(f"tree_sitter_{language}")
    known = Language(package.language_php() if language == "php" else package.language())
    table: dict[str, Rule | Leaf] = {"identifier": NAME, "string": WHOLE, "comment": ignore, **TABLES[language]}
    meanings: list[Rule | Leaf] = []
    for kind in range(known.node_kind_count):
        name = known.node_kind_for_id(kind) or ""
        keyword = OTHER if " " in name else KEYWORD  # `not in` has two children
        meanings.append(table.get(name, OTHER) if known.node_kind_is_named(kind) else keyword)
    return Grammar(Parser(known), meanings, FILES.get(language, (b"", b"")), CONTEXTS.get(language, []))
