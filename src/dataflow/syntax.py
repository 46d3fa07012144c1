"""Parsing: from a function of one of six languages to its tokens and its program."""

from collections import defaultdict

from tree_sitter import Node

from src.dataflow.grammars import grammar
from src.dataflow.lowering import OTHER, WHOLE, Leaf, Lowering, Meanings, Rule
from src.dataflow.rules import ignore, unless_docstring
from src.utils.errors import InputError


def parse(code: str, language: str) -> tuple[Lowering, int | None]:
    """Tokens and program of a function, and None; for code that does not parse its leaves and the line of the error.

    Raises InputError where the language is unknown, or the code has a lone surrogate.
    """
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


def _error_line(root: Node) -> int:
    """The line of the first error, from 1."""
    node = root
    while child := next((child for child in node.children if child.has_error or child.is_missing), None):
        node = child
    return node.start_point[0] + 1
