"""One file's functions: found by a tree-sitter query, filtered, cut into query and code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node, QueryCursor

from src.corpora.harvester.base import Doc, Language, captured, node_text, within
from src.corpora.harvester.docstring_text import first_paragraph, is_licence, is_reference, plain
from src.corpora.harvester.filters import query_problem
from src.corpora.harvester.strip_comments import bare

FEWEST_LINES = 3  # of code, as in CodeSearchNet
INSIDE = ("comment", "docstring", "string")
NONE = "files without a documented function"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Function:
    """A documented function that passed every filter, or one of `every`; lines count from 1 and include both ends."""

    name: str  # qualified by its classes
    query: str  # of `every`: empty where nothing documents it
    code: str
    tokens: list[str]
    start_line: int
    end_line: int
    source: str = ""  # of `every`: as it stands in the file, dedented


def extract(language: Language, source: bytes, counts: Counter[str]) -> Iterator[Function]:
    """Functions in the order of the source. `counts` takes the documented ones and why each of the others fell.

    A function inside a documented one is part of that one's code and no function of its own.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    source = _readable(source)
    if not language.documented.search(source):
        counts[NONE] += 1
        return
    captures, inside = _parsed(language, source)
    comments = inside[0]
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


def every(language: Language, source: bytes, counts: Counter[str]) -> Iterator[Function]:
    """All functions that have a name, those inside others too, documented or not, in the order of the source.

    `query` is the first paragraph of the documentation, of any length and language. `counts` takes their number.

    Raises:
        UnicodeDecodeError: the file is not UTF-8.
    """
    source = _readable(source)
    captures, inside = _parsed(language, source)
    ends = [comment.end_byte for comment in inside[0]]
    around: list[tuple[int, str]] = []  # last byte and name of the classes and functions around
    for node, is_scope in _in_order(captures):
        start, end = node.start_byte, node.end_byte
        while around and around[-1][0] <= start:
            around.pop()
        name = node_text(node.child_by_field_name("name"))
        if is_scope:
            around.append((end, name))
            continue
        begin, lead = language.lead(start, source)
        doc = language.doc(node, inside[0], ends, source)
        name = name or lead or (doc.name if doc else "")
        if not name:
            continue
        paragraph = first_paragraph(language.reduce(doc.text)) if doc else ""
        query = "" if is_licence(paragraph) else plain(paragraph)
        code, _ = bare(source, begin, end, _ranges(language, node, begin, source, inside))
        qualified = ".".join(filter(None, [*(scope for _, scope in around), language.qualifier(node), name]))
        around.append((end, name))
        counts["functions"] += 1
        first_line = node.start_point.row - source.count(b"\n", begin, start) + 1
        yield Function(qualified, query, code, [], first_line, node.end_point.row + 1, _dedented(source, begin, end))


def _readable(source: bytes) -> bytes:
    """Without a byte order mark and carriage returns. Raises UnicodeDecodeError where it is not UTF-8."""
    source = source.removeprefix(BOM).replace(b"\r\n", b"\n")
    source.decode()
    return source


def _parsed(language: Language, source: bytes) -> tuple[dict[str, list[Node]], list[list[Node]]]:
    """All captures of a file, and those of INSIDE in order."""
    cursor = QueryCursor(language.compiled)
    if language.depth is not None:
        cursor.set_max_start_depth(language.depth)
    captures = cursor.captures(language.parser.parse(source).root_node)
    return captures, [captured(captures, kind) for kind in INSIDE]


def _dedented(source: bytes, start: int, end: int) -> str:
    """source[start:end] without the indentation of its first line."""
    line = source.rfind(b"\n", 0, start) + 1
    indent = source[line:start]
    text = source[start:end]
    return (text.replace(b"\n" + indent, b"\n") if indent and not indent.strip() else text).decode()


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
    ranges = _ranges(language, node, doc.start, source, inside)
    found = bare(source, doc.start, node.end_byte, ranges, FEWEST_LINES)
    return (query, *found) if found else f"code under {FEWEST_LINES} lines"


def _ranges(
    language: Language, node: Node, start: int, source: bytes, inside: Sequence[Sequence[Node]]
) -> list[list[tuple[int, int]]]:
    """First and last byte of the comments, docstrings and literals of a function that begins at `start`."""
    if language.depth is not None:  # bodies were not looked into
        holds_any = language.inside.search(source, start, node.end_byte)
        captures = QueryCursor(language.compiled).captures(node) if holds_any else {}
        inside = [captured(captures, kind) for kind in INSIDE]
    return [within(nodes, start, node.end_byte) for nodes in inside]
