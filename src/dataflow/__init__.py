"""Data flow of a function: its variables and the origins of their values (Guo et al. 2021, arXiv 2009.08366).

    >>> extract_dataflow("def f(a):\\n    b = a + 1\\n    return b", "python")[1][0]
    ['1', 10, 'comesFrom', [], []]

`lowering` turns a syntax tree into tokens and a small program with the rules of `rules`, `grammars` maps the node kinds
of each language to rules, and `flow` runs the program.
"""

import logging
from collections import Counter, defaultdict

from tree_sitter import Node

from src.dataflow.flow import Edge, Flow
from src.dataflow.grammars import LANGUAGES, grammar
from src.dataflow.lowering import OTHER, WHOLE, Leaf, Lowering, Meanings, Rule
from src.dataflow.rules import ignore, unless_docstring
from src.utils.errors import InputError

__all__ = ["LANGUAGES", "Edge", "extract_dataflow", "unparsed"]

log = logging.getLogger(__name__)
unparsed: Counter[str] = Counter()  # functions without data flow in this process, by language


def extract_dataflow(code: str, language: str) -> tuple[list[str], list[Edge]]:
    """The tokens of a function and its data flow.

    Args:
        code: one function, or a method without its class.
        language: one of `LANGUAGES`.

    Returns:
        The tokens: the leaves of the syntax tree without comments and docstrings; a string is one token, and those of
        php are between `<?php` and `?>`. And the sorted edges [variable, token index, "comesFrom" | "computedFrom",
        [parent names], [parent token indices]]: a use comes from the variable's last definitions, an assigned variable
        is computed from those on the right side, and a value without parents starts there.
        Code that does not parse has tokens but no edges; it is logged and counted in `unparsed`.

    Raises InputError: another language, or code with a lone surrogate.
    """
    lowered, error_line = _parse(code, language)
    if error_line is None:
        return lowered.tokens, Flow(lowered.tokens).run(lowered.program)
    unparsed[language] += 1
    # a warning after 1, 10, 100, ... failures; every failure at debug level
    level = logging.WARNING if str(unparsed[language]).strip("0") == "1" else logging.DEBUG
    message = "expected a function in %s, found a syntax error at its line %d; no data flow, as for %d so far"
    log.log(level, message, language, error_line, unparsed[language])
    # A node that the parser inserted has no text.
    return [token for token in lowered.tokens if token], []


def _parse(code: str, language: str) -> tuple[Lowering, int | None]:
    """Tokens and program of a function, and None; for code that does not parse its leaves and the line of the error."""
    known = grammar(language)
    try:
        source = code.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"expected Unicode text, found a lone surrogate; {error.reason}") from None
    (opening, closing), *contexts = known.wrappings(source)
    alone = opening + source + closing
    root = known.parser.parse(alone).root_node
    if not root.has_error:
        return _lower(alone, [root], known.meanings), None
    for before, after in contexts:
        wrapped = before + source + after
        tree = known.parser.parse(wrapped).root_node
        if not tree.has_error:
            return _lower(wrapped, _unwrapped(tree, len(before), len(before) + len(source)), known.meanings), None
    leaves = defaultdict[int, Rule | Leaf](lambda: OTHER)  # an error's kind is in no table
    leaves |= {kind: rule for kind, rule in enumerate(known.meanings) if rule in (ignore, unless_docstring, WHOLE)}
    return _lower(alone, [root], leaves), _error_line(root)


def _lower(source: bytes, roots: list[Node], meanings: Meanings) -> Lowering:
    lowering = Lowering(source.decode("latin-1"))  # one character per byte: the tree counts bytes
    lowering.lower(roots, meanings)
    if not source.isascii():
        lowering.tokens[:] = [token.encode("latin-1").decode() for token in lowering.tokens]
    return lowering


def _unwrapped(root: Node, start: int, end: int) -> list[Node]:
    """The nodes of the code at these bytes, and those before and after its context."""
    around = root.descendant_for_byte_range(start - 1, end + 1)  # such as the body of a class: wider than the code
    children = around.children if around is not None else []
    inside = [node for node in children if start <= node.start_byte and node.end_byte <= end]
    before = [node for node in root.children if node.end_byte < start and node.start_byte == 0]
    after = [node for node in root.children if node.start_byte > end]
    return [*before, *inside, *after]


def _error_line(node: Node) -> int:
    while child := next((child for child in node.children if child.has_error or child.is_missing), None):
        node = child
    return node.start_point[0] + 1
