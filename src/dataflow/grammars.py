"""Each language's table: which of its nodes means what, and how its code is wrapped to be parsed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache

from tree_sitter import Language, Parser

from src.dataflow.flow import COMES
from src.dataflow.lowering import KEYWORD, NAME, OTHER, WHOLE, Leaf, Rule
from src.dataflow.rules import (
    assignment,
    branch,
    clauses_first,
    counted,
    counted_clause,
    for_each,
    for_each_as,
    matched_assignment,
    matched_for_each,
    nothing,
    statement,
    twice,
    update,
)
from src.utils.errors import InputError, nearest

DEFINITION = assignment("name", "value", COMES)
ASSIGNMENT = assignment("left", "right")
ELSE = branch(arms={"else", "if_statement"})  # from the keyword on, which changes nothing: a branch is never exhaustive

TABLES: dict[str, dict[str, Rule]] = {
    "python": {
        "comment": nothing,
        "expression_statement": statement,
        "default_parameter": DEFINITION,
        "assignment": matched_assignment,
        "augmented_assignment": matched_assignment,
        "for_in_clause": matched_assignment,
        "list_comprehension": clauses_first("for_in_clause"),
        "set_comprehension": clauses_first("for_in_clause"),
        "dictionary_comprehension": clauses_first("for_in_clause"),
        "generator_expression": clauses_first("for_in_clause"),
        "if_statement": branch(arms={"elif_clause", "else_clause"}, exhaustive="else_clause"),
        "for_statement": matched_for_each("left", "right"),
        "while_statement": twice,
    },
    "java": {
        "line_comment": nothing,
        "block_comment": nothing,
        "variable_declarator": DEFINITION,
        "assignment_expression": ASSIGNMENT,
        "update_expression": update,
        "if_statement": ELSE,
        "for_statement": counted("local_variable_declaration"),
        "enhanced_for_statement": for_each("name", "value"),
        "while_statement": twice,
    },
    "javascript": {  # a plain assignment is none there, and neither is for-of a loop
        "comment": nothing,
        "html_comment": nothing,
        "hash_bang_line": nothing,
        "variable_declarator": DEFINITION,
        "assignment_pattern": ASSIGNMENT,
        "augmented_assignment_expression": ASSIGNMENT,
        "update_expression": update,
        "if_statement": branch(arms={"if_statement"}),  # the else continues where the first arm ends
        "for_statement": counted("variable_declaration"),  # with `let` there is no second pass
        "while_statement": twice,
    },
    "php": {
        "comment": nothing,
        "simple_parameter": assignment("name", "default_value", COMES),
        "assignment_expression": ASSIGNMENT,
        "augmented_assignment_expression": ASSIGNMENT,
        "update_expression": update,
        "if_statement": branch(arms={"else_clause", "if_statement"}),
        "else_clause": branch(arms={"else_clause", "if_statement"}),
        "for_statement": counted("assignment_expression"),
        "foreach_statement": for_each_as,
        "while_statement": twice,
    },
    "ruby": {  # `while` is no loop there
        "comment": nothing,
        "keyword_parameter": DEFINITION,
        "assignment": matched_assignment,
        "operator_assignment": matched_assignment,
        **dict.fromkeys(("if", "unless", "elsif", "else", "when"), branch(arms={"elsif", "else"})),
        "for": matched_for_each("pattern", "value"),
        "until": twice,
        "while_modifier": twice,
    },
    "go": {  # `:=` defines nothing but names that are new; `range` runs once
        "comment": nothing,
        "var_spec": DEFINITION,
        "assignment_statement": ASSIGNMENT,
        "inc_statement": update,  # not `i--`
        "if_statement": ELSE,
        "for_statement": counted_clause("for_clause", "update"),
    },
}

LANGUAGES = tuple(TABLES)
FILES = {"php": (b"<?php", b"?>")}  # what makes code a file
CLASS = (b"class C { ", b"\n}")
EXPRESSION, PROPERTY = (b"( ", b"\n)"), (b"({ ", b"\n})")
# Tried when code is no file.
CONTEXTS = {"java": [CLASS], "php": [CLASS], "javascript": [EXPRESSION, CLASS, PROPERTY]}


@dataclass(frozen=True, slots=True)
class Grammar:
    """What is known of a language.

    Attributes:
        parser: its parser.
        meanings: what each kind of node means, by the kind's number.
        broken: the same for code that does not parse, whose tokens alone are wanted; other kinds mean `OTHER`.
        file, contexts: what is written around code to parse it, first and second.
    """

    parser: Parser
    meanings: list[Rule | Leaf]
    broken: dict[int, Rule | Leaf]
    file: tuple[bytes, bytes]
    contexts: list[tuple[bytes, bytes]]


@cache
def grammar(language: str) -> Grammar:
    """The grammar of a language, loaded on first use.

    Raises:
        InputError: it is not among `LANGUAGES`.
    """
    if language not in TABLES:
        raise InputError(
            f"expected a language among {', '.join(TABLES)}, found {language!r}{nearest(language, TABLES)}"
        )
    package = importlib.import_module(f"tree_sitter_{language}")
    known = Language(package.language_php() if language == "php" else package.language())
    table = {"identifier": NAME, "string": WHOLE, **TABLES[language]}
    meanings = []
    for kind in range(known.node_kind_count):
        name = known.node_kind_for_id(kind)
        if known.node_kind_is_named(kind):
            meanings.append(table.get(name, OTHER))
        else:
            meanings.append(OTHER if " " in name else KEYWORD)  # `not in` has two children
    broken = {kind: meaning for kind, meaning in enumerate(meanings) if meaning in (nothing, statement, WHOLE)}
    return Grammar(Parser(known), meanings, broken, FILES.get(language, (b"", b"")), CONTEXTS.get(language, []))
