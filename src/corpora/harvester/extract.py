"""The functions of a file: found by a tree-sitter query, filtered, divided into query and code."""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tree_sitter import Node, QueryCursor

from src.corpora.harvester.base import Doc, Language, captured, node_text, within
from src.corpora.harvester.docstring_text import first_paragraph, is_licence, is_reference, remove_markup
from src.corpora.harvester.filters import query_problem
from src.corpora.harvester.strip_comments import strip_comments

MIN_LINES = 3  # of code, as in CodeSearchNet
INSIDE = ("comment", "docstring", "string")
NO_FUNCTION = "files without a documented function"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a file; lines count from 1, and both ends are included."""

    name: str  # qualified by its classes
    query: str  # empty without documentation
    code: str
    tokens: list[str]
    start_line: int
    end_line: int
    source: str = ""  # unchanged except for its indentation; only from `extract_all`


def extract(language: Language, source: bytes, counts: Counter[str]) -> Iterator[Function]:
    """Documented functions that pass every filter, in the order of the source.

    A function inside a documented one is part of that one's code and not extracted itself. `counts` receives the
    number of documented functions and, by reason, of dropped ones.

    Raises UnicodeDecodeError: the file is not UTF-8.
    """
    source = _readable(source)
    if not language.may_document.search(source):
        counts[NO_FUNCTION] += 1
        return
    captures, inside = _parsed(language, source)
    documented_until = 0
    for node, scopes in _functions(captures):
        start, end = node.start_byte, node.end_byte
        if start < documented_until or (doc := language.doc(node, inside[0], source)) is None:
            continue
        documented_until = end
        counts["documented functions"] += 1
        name = doc.name or node_text(node.child_by_field_name("name"))
        function = _filtered(language, node, doc, name, source, inside)
        if isinstance(function, str):
            counts[f"dropped: {function}"] += 1
            continue
        first_row = node.start_point.row - source.count(b"\n", doc.start, start)
        yield Function(_qualified(scopes, language, node, name), *function, first_row + 1, node.end_point.row + 1)
    if not documented_until:
        counts[NO_FUNCTION] += 1


def extract_all(language: Language, source: bytes, counts: Counter[str]) -> Iterator[Function]:
    """All functions that have a name, also nested and undocumented ones, in the order of the source.

    `query` is the first paragraph of the documentation, of any length and language. `counts` receives their number.

    Raises UnicodeDecodeError: the file is not UTF-8.
    """
    source = _readable(source)
    captures, inside = _parsed(language, source)
    for node, around in _functions(captures):
        start, end = node.start_byte, node.end_byte
        begin, lead = language.lead(start, source)
        doc = language.doc(node, inside[0], source)
        name = node_text(node.child_by_field_name("name")) or lead or (doc.name if doc else "")
        if not name:
            continue
        paragraph = first_paragraph(language.strip_tags(doc.text)) if doc else ""
        query = "" if is_licence(paragraph) else remove_markup(paragraph)
        code, _ = strip_comments(source, begin, end, _ranges(language, node, begin, source, inside))
        qualified = _qualified(around, language, node, name)
        around.append((end, name))  # functions inside this one
        counts["functions"] += 1
        first_line = node.start_point.row - source.count(b"\n", begin, start) + 1
        yield Function(qualified, query, code, [], first_line, node.end_point.row + 1, _dedented(source, begin, end))


def _readable(source: bytes) -> bytes:
    """The source without byte order mark and carriage returns. Raises UnicodeDecodeError if it is not UTF-8."""
    source = source.removeprefix(BOM_UTF8).replace(b"\r\n", b"\n")
    source.decode()
    return source


def _parsed(language: Language, source: bytes) -> tuple[dict[str, list[Node]], list[list[Node]]]:
    """All captures of a file, and the sorted ones of each name in INSIDE."""
    cursor = QueryCursor(language.compiled_query)
    if language.depth is not None:
        cursor.set_max_start_depth(language.depth)
    captures = cursor.captures(language.parser.parse(source).root_node)
    return captures, [captured(captures, kind) for kind in INSIDE]


def _dedented(source: bytes, start: int, end: int) -> str:
    indent = source[source.rfind(b"\n", 0, start) + 1 : start]
    text = source[start:end]
    return (text if indent.strip() else text.replace(b"\n" + indent, b"\n")).decode()


def _functions(captures: dict[str, list[Node]]) -> Iterator[tuple[Node, list[tuple[int, str]]]]:
    """Functions, outer ones before inner ones, each with the end and the name of the scopes around it."""
    around: list[tuple[int, str]] = []
    nodes = [(node, kind == "scope") for kind in ("function", "scope") for node in captures.get(kind, ())]
    for node, is_scope in sorted(nodes, key=lambda item: (item[0].start_byte, -item[0].end_byte)):
        while around and around[-1][0] <= node.start_byte:
            around.pop()
        if is_scope:
            around.append((node.end_byte, node_text(node.child_by_field_name("name"))))
        else:
            yield node, around


def _qualified(around: list[tuple[int, str]], language: Language, node: Node, name: str) -> str:
    return ".".join(filter(None, [*(scope for _, scope in around), language.qualifier(node), name]))


def _filtered(
    language: Language, node: Node, doc: Doc, name: str, source: bytes, inside: Sequence[Sequence[Node]]
) -> tuple[str, str, list[str]] | str:
    """Query, code and tokens, or the reason why the function is dropped."""
    if language.skips(name.rsplit(".", 1)[-1]):
        return "constructor, standard method or test"
    if node.has_error:
        return "does not parse"
    paragraph = first_paragraph(language.strip_tags(doc.text))
    if not paragraph:
        return "no prose in the doc comment"
    if is_licence(paragraph):
        return "licence header"
    query = remove_markup(paragraph)
    if problem := query_problem(query if "http" not in paragraph else paragraph):
        return problem
    if is_reference(query):
        return "query only refers to another"
    ranges = _ranges(language, node, doc.start, source, inside)
    code, tokens = strip_comments(source, doc.start, node.end_byte, ranges)
    if code.count("\n") + 1 < MIN_LINES:
        return f"code under {MIN_LINES} lines"
    return query, code, tokens


def _ranges(
    language: Language, node: Node, start: int, source: bytes, inside: Sequence[Sequence[Node]]
) -> list[list[tuple[int, int]]]:
    """(start, end) of the comments, docstrings and literals of a function that begins at `start`."""
    if language.depth is not None:  # the query of the file did not visit bodies
        has_any = language.literals.search(source, start, node.end_byte)
        captures = QueryCursor(language.compiled_query).captures(node) if has_any else {}
        inside = [captured(captures, kind) for kind in INSIDE]
    return [within(nodes, start, node.end_byte) for nodes in inside]
