"""One file's documented functions: found by a tree-sitter query, filtered, cut into query and code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node, QueryCursor

from src.corpora.filters import query_problem
from src.harvester.bare import bare
from src.harvester.base import Doc, Language, captured, node_text, within
from src.harvester.prose import first_paragraph, is_licence, is_reference, plain

FEWEST_LINES = 3  # of code, as in CodeSearchNet
INSIDE = ("comment", "docstring", "string")
NONE = "files without a documented function"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Function:
    """A documented function that passed every filter; lines count from 1 and include both ends."""

    name: str  # qualified by its classes
    query: str
    code: str
    tokens: list[str]
    start_line: int
    end_line: int


def extract(language: Language, source: bytes, counts: Counter[str]) -> Iterator[Function]:
    """Functions in the order of the source. `counts` takes the documented ones and why each of the others fell.

    A function inside a documented one is part of that one's code and no function of its own.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    source = source.removeprefix(BOM).replace(b"\r\n", b"\n")
    source.decode()
    if not language.documented.search(source):
        counts[NONE] += 1
        return
    root = language.parser.parse(source).root_node
    cursor = QueryCursor(language.compiled)
    if language.depth is not None:
        cursor.set_max_start_depth(language.depth)
    captures = cursor.captures(root)
    inside = comments, _, _ = [captured(captures, kind) for kind in INSIDE]
    ends = [comment.end_byte for comment in comments]
    scopes: list[tuple[int, str]] = []  # last byte and name of the classes around
    documented_until = 0
    for node, is_scope in _in_order(captures):
        start, end = node.start_byte, node.end_byte
        while scopes and scopes[-1][0] <= start:
            scopes.pop()
        if is_scope:
            scopes.append((end, node_text(node.child_by_field_name("name"))))
            continue
        if start < documented_until or (doc := language.doc(node, comments, ends, source)) is None:
            continue
        documented_until = end
        counts["documented functions"] += 1
        name = doc.name or node_text(node.child_by_field_name("name"))
        function = _filtered(language, node, doc, name, source, inside)
        if isinstance(function, str):
            counts[f"dropped: {function}"] += 1
            continue
        qualified = ".".join(filter(None, [*(scope for _, scope in scopes), language.qualifier(node), name]))
        first_row = node.start_point.row - source.count(b"\n", doc.start, start)
        yield Function(qualified, *function, first_row + 1, node.end_point.row + 1)
    if not documented_until:
        counts[NONE] += 1


def _in_order(captures: dict[str, list[Node]]) -> list[tuple[Node, bool]]:
    """Functions and scopes, the outer before the inner."""
    nodes = [(node, False) for node in captures.get("function", ())] + [(n, True) for n in captures.get("scope", ())]
    return sorted(nodes, key=lambda item: (item[0].start_byte, -item[0].end_byte))


def _filtered(
    language: Language, node: Node, doc: Doc, name: str, source: bytes, inside: Sequence[Sequence[Node]]
) -> tuple[str, str, list[str]] | str:
    """Query, code and tokens, or the reason why the function is left out."""
    if language.skips(name.rsplit(".", 1)[-1]):
        return "constructor, standard method or test"
    if node.has_error:
        return "does not parse"
    paragraph = first_paragraph(language.reduce(doc.text))
    if not paragraph:
        return "no prose in the doc comment"
    if is_licence(paragraph):
        return "licence header"
    query = plain(paragraph)
    if problem := query_problem(query if "http" not in paragraph else paragraph):
        return problem
    if is_reference(query):
        return "query only refers to another"
    if language.depth is not None:
        holds_any = language.inside.search(source, doc.start, node.end_byte)
        captures = QueryCursor(language.compiled).captures(node) if holds_any else {}
        inside = [captured(captures, kind) for kind in INSIDE]
    ranges = [within(nodes, doc.start, node.end_byte) for nodes in inside]
    found = bare(source, doc.start, node.end_byte, ranges, FEWEST_LINES)
    return (query, *found) if found else f"code under {FEWEST_LINES} lines"
