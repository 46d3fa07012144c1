"""For each language: the rules of its node kinds, and the code to put around a function to parse it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tree_sitter import Language, Parser

from src.dataflow import rules
from src.dataflow.flow import COMES_FROM
from src.dataflow.lowering import KEYWORD, NAME, OTHER, WHOLE, Leaf, Rule
from src.utils.errors import InputError, nearest

DEFINITION = rules.assignment("name", "value", COMES_FROM)
ASSIGNMENT = rules.assignment("left", "right")
ELSE = rules.branch(arms={"else", "if_statement"})  # the keyword is an arm that changes nothing: never exhaustive

TABLES: dict[str, dict[str, Rule]] = {
    "python": {
        "expression_statement": rules.unless_docstring,
        "default_parameter": DEFINITION,
        "assignment": rules.matched_assignment,
        "augmented_assignment": rules.matched_assignment,
        "for_in_clause": rules.matched_assignment,
        "list_comprehension": rules.comprehension,
        "set_comprehension": rules.comprehension,
        "dictionary_comprehension": rules.comprehension,
        "generator_expression": rules.comprehension,
        "if_statement": rules.branch(arms={"elif_clause", "else_clause"}, exhaustive="else_clause"),
        "for_statement": rules.matched_for_each("left", "right"),
        "while_statement": rules.while_loop,
    },
    "java": {
        "line_comment": rules.ignore,
        "block_comment": rules.ignore,
        "variable_declarator": DEFINITION,
        "assignment_expression": ASSIGNMENT,
        "update_expression": rules.update,
        "if_statement": ELSE,
        "for_statement": rules.for_loop("local_variable_declaration"),
        "enhanced_for_statement": rules.for_each,
        "while_statement": rules.while_loop,
    },
    "javascript": {  # the published extractor has no rule for a plain assignment and for-of
        "html_comment": rules.ignore,
        "hash_bang_line": rules.ignore,
        "variable_declarator": DEFINITION,
        "assignment_pattern": ASSIGNMENT,
        "augmented_assignment_expression": ASSIGNMENT,
        "update_expression": rules.update,
        "if_statement": rules.branch(arms={"if_statement"}),  # `else` continues after the first arm
        "for_statement": rules.for_loop("variable_declaration"),  # with `let` there is no second pass
        "while_statement": rules.while_loop,
    },
    "php": {
        "simple_parameter": rules.assignment("name", "default_value", COMES_FROM),
        "assignment_expression": ASSIGNMENT,
        "augmented_assignment_expression": ASSIGNMENT,
        "update_expression": rules.update,
        "if_statement": rules.branch(arms={"else_clause", "if_statement"}),
        "else_clause": rules.branch(arms={"else_clause", "if_statement"}),
        "for_statement": rules.for_loop("assignment_expression"),
        "foreach_statement": rules.for_each_as,
        "while_statement": rules.while_loop,
    },
    "ruby": {  # the published extractor has no rule for `while`
        "keyword_parameter": DEFINITION,
        "assignment": rules.matched_assignment,
        "operator_assignment": rules.matched_assignment,
        **dict.fromkeys(("if", "unless", "elsif", "else", "when"), rules.branch(arms={"elsif", "else"})),
        "for": rules.matched_for_each("pattern", "value"),
        "until": rules.while_loop,
        "while_modifier": rules.while_loop,
    },
    "go": {  # no rules for `:=`, which only defines new names, and for `range`, which runs once
        "var_spec": DEFINITION,
        "assignment_statement": ASSIGNMENT,
        "inc_statement": rules.update,  # but none for `i--`
        "if_statement": ELSE,
        "for_statement": rules.for_loop_with_clause,
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
    """Parser and tables of a language."""

    parser: Parser
    meanings: Sequence[Rule | Leaf]  # of each kind of node, by the kind's number
    file: tuple[bytes, bytes]  # (before, after) the code to make it a file
    contexts: list[tuple[bytes, bytes]]  # the same in the file

    def wrappings(self, source: bytes) -> list[tuple[bytes, bytes]]:
        """(before, after): what to put around a function to parse it, in the order to try."""
        opening, closing = (b"", b"") if source.lstrip().startswith(b"<?") else self.file
        return [(opening, closing), *((opening + before, after + closing) for before, after in self.contexts)]


@cache
def grammar(language: str) -> Grammar:
    """The grammar of a language, loaded on first use.

    Raises InputError: another language than `LANGUAGES`.
    """
    if language not in TABLES:
        raise InputError(
            f"expected a language among {', '.join(TABLES)}, found {language!r}{nearest(language, TABLES)}"
        )
    package = importlib.import_module(f"tree_sitter_{language}")
    known = Language(package.language_php() if language == "php" else package.language())
    table: dict[str, Rule | Leaf] = {"identifier": NAME, "string": WHOLE, "comment": rules.ignore, **TABLES[language]}
    meanings: list[Rule | Leaf] = []
    for kind in range(known.node_kind_count):
        name = known.node_kind_for_id(kind) or ""
        keyword = OTHER if " " in name else KEYWORD  # `not in` has two children
        meanings.append(table.get(name, OTHER) if known.node_kind_is_named(kind) else keyword)
    return Grammar(Parser(known), meanings, FILES.get(language, (b"", b"")), CONTEXTS.get(language, []))
