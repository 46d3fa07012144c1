"""The base class of a harvested language: its grammar, its query, and the form of its doc comments."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

from tree_sitter import Node, Parser, Query

from src.dataflow.grammars import grammar

start_of, end_of = attrgetter("start_byte"), attrgetter("end_byte")
LONGEST_LEAD_IN = 300  # bytes between a doc comment and its function, for code such as `export const name = `


@dataclass(frozen=True, slots=True)
class Doc:
    """The documentation of a function: its text without comment markers, and the start of the documented code."""

    text: str
    start: int  # byte
    name: str = ""  # of the function, if only the lead-in has it


class Language:
    """One language, in a file of this package. Instances have no state except the compiled grammar."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    # Query over a file: @function (with a body) and @scope (its `name` qualifies functions). Inside a function,
    # @comment and @docstring are removed, and @string is never changed.
    query: ClassVar[str]
    # How deep in the tree functions are: bodies are deeper, and most of the tree. None: at any depth.
    depth: ClassVar[int | None] = None
    may_document: ClassVar[re.Pattern[bytes]]  # without a match, a file has no documented function and is not parsed
    literals: ClassVar[re.Pattern[bytes]] = re.compile(rb"[\"'`/#]")  # part of every comment and string literal
    standard_methods: ClassVar[frozenset[str]] = frozenset()  # also constructors; CodeSearchNet drops them
    test_files: ClassVar[str] = r"(?!)"  # pattern of file names
    test_folders: ClassVar[frozenset[str]] = frozenset()  # in addition to those of all languages
    lead_in: ClassVar[re.Pattern[str]] = re.compile("")  # between a doc comment and its function, whose `name` it gives
    line_comments: ClassVar[bool] = False  # the documentation is adjacent lines of comments, which a blank line ends

    def text(self, comment: str) -> str:
        """A doc comment without its markers; empty for any other comment. Lines keep their own indentation."""
        return ""

    def strip_tags(self, text: str) -> str:
        """Documentation without the language's own tags and markup; paragraphs stay separate."""
        return text

    def skips(self, name: str) -> bool:
        """Whether a function with this name is dropped: a constructor, a standard method, a test."""
        return name in self.standard_methods

    def qualifier(self, node: Node) -> str:
        """The type that a function belongs to, if its own node names it (a receiver)."""
        return ""

    @property
    def parser(self) -> Parser:
        return grammar(self.name).parser

    @cached_property
    def compiled_query(self) -> Query:
        assert self.parser.language is not None
        return Query(self.parser.language, self.query)

    def doc(self, node: Node, comments: Sequence[Node], source: bytes) -> Doc | None:
        """The doc comment before a function; `comments` are those of the file, in order."""
        start = node.start_byte
        last = bisect_right(comments, start, key=end_of) - 1
        if last < 0 or start - (end := comments[last].end_byte) > LONGEST_LEAD_IN:
            return None
        gap = source[end:start].decode("utf-8", "replace")
        blank = gap[: len(gap) - len(gap.lstrip())]
        lead = self.lead_in.fullmatch(gap, len(blank))
        if lead is None:
            return None
        if self.line_comments:
            text = self._line_doc(comments, last, blank, source)
        else:
            text = self._block_doc(comments, last, source)
        return Doc(text, end + len(blank.encode()), lead.groupdict().get("name") or "") if text.strip() else None

    def lead(self, start: int, source: bytes) -> tuple[int, str]:
        """The start of code such as `export const name = ` on the line of a function at `start`, and that name."""
        line = source.rfind(b"\n", 0, start) + 1
        before = source[line:start].decode("utf-8", "replace")
        blank = len(before) - len(before.lstrip())
        match = self.lead_in.fullmatch(before, blank)
        return (line + len(before[:blank].encode()), match.groupdict().get("name") or "") if match else (start, "")

    def _block_doc(self, comments: Sequence[Node], last: int, source: bytes) -> str:
        """The nearest doc comment above, with only other comments between, such as `// eslint-disable-next-line`."""
        text = self.text(node_text(comments[last]))
        while not text and last and not source[comments[last - 1].end_byte : comments[last].start_byte].strip():
            last -= 1
            text = self.text(node_text(comments[last]))
        return text

    def _line_doc(self, comments: Sequence[Node], last: int, blank: str, source: bytes) -> str:
        """The whole-line comments directly above, on consecutive lines."""
        touches = blank.count("\n") + source.endswith(b"\n", 0, comments[last].end_byte) == 1
        if not touches or not _whole_line(comments[last], source):
            return ""
        first = last
        while first and _rows_touch(comments[first - 1], comments[first]) and _whole_line(comments[first - 1], source):
            first -= 1
        return self.text("\n".join(map(node_text, comments[first : last + 1])))


def _rows_touch(upper: Node, lower: Node) -> bool:
    return upper.end_point.row + (upper.end_point.column > 0) == lower.start_point.row


def _whole_line(comment: Node, source: bytes) -> bool:
    start = comment.start_byte
    return not source[source.rfind(b"\n", 0, start) + 1 : start].strip()


def node_text(node: Node | None) -> str:
    """A node's source; empty without a node."""
    return node.text.decode() if node is not None and node.text is not None else ""


def captured(captures: dict[str, list[Any]], name: str) -> list[Node]:
    """The captures of one name in the order of the source."""
    return sorted(captures.get(name, ()), key=start_of)


def within(nodes: Sequence[Node], start: int, end: int) -> list[tuple[int, int]]:
    """(start, end) of those sorted nodes that begin in a range."""
    first, last = bisect_left(nodes, start, key=start_of), bisect_left(nodes, end, key=start_of)
    return [(node.start_byte, node.end_byte) for node in nodes[first:last]]
