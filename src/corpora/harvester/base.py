"""What a language is to the harvester: a grammar, two queries, and how its doc comments are written."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Query

start_of = attrgetter("start_byte")
LONGEST_LEAD_IN = 300  # bytes between a doc comment and its function, such as `export const name = `


@dataclass(frozen=True, slots=True)
class Doc:
    """What documents a function: its text without comment markers, and where the code begins that it stands for."""

    text: str
    start: int  # byte
    name: str = ""  # where the lead-in names the function and the node itself does not


class Language:
    """One language. Every subclass is a file of this package; instances are stateless but for the compiled grammar."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    # Query over a file: @function (with a body) and @scope (its `name` qualifies); of what is inside a function
    # @comment and @docstring go and nothing touches @string.
    query: ClassVar[str]
    depth: ClassVar[int | None] = (
        None  # of the tree in which functions are looked for: bodies are most of it, and deeper
    )
    documented: ClassVar[re.Pattern[bytes]]  # a file where it finds nothing holds no documented function: not parsed
    inside: ClassVar[re.Pattern[bytes]] = re.compile(rb"[\"'`/#]")  # what every comment and string literal holds
    standard: ClassVar[frozenset[str]] = frozenset()  # constructors and what every class has: CodeSearchNet drops them
    test_files: ClassVar[str] = r"(?!)"  # of the file's name
    test_folders: ClassVar[frozenset[str]] = frozenset()  # beside those of every language
    lead_in: ClassVar[str] = ""  # what may stand between a doc comment and the function's node; group `name` names it
    adjacent: ClassVar[bool] = False  # a blank line parts a comment from the function (line comments)

    def grammar(self) -> object:
        """The language of the grammar's wheel."""
        raise NotImplementedError

    def text(self, comment: str) -> str:
        """A doc comment without its markers; empty for a comment that is none. Lines keep their own indentation."""
        raise NotImplementedError

    def reduce(self, text: str) -> str:
        """What is peculiar to the language's documentation: tags cut off, markup removed, paragraphs kept apart."""
        return text

    def skips(self, name: str) -> bool:
        """Whether a function of this name is left out: a constructor, a standard method, a test."""
        return name in self.standard

    def qualifier(self, node: Node) -> str:
        """What a function's own node says about the type it belongs to (a receiver)."""
        return ""

    @cached_property
    def parser(self) -> Parser:
        return Parser(self._grammar)

    @cached_property
    def compiled(self) -> Query:
        return Query(self._grammar, self.query)

    @cached_property
    def _grammar(self) -> Grammar:
        return Grammar(self.grammar())

    @cached_property
    def _lead_in(self) -> re.Pattern[str]:
        return re.compile(self.lead_in)

    def doc(self, node: Node, comments: Sequence[Node], ends: Sequence[int], source: bytes) -> Doc | None:
        """The doc comment before a function; `ends` are the comments' last bytes, in order."""
        start = node.start_byte
        last = bisect_right(ends, start) - 1
        if last < 0 or start - ends[last] > LONGEST_LEAD_IN:
            return None
        gap = source[ends[last] : start].decode("utf-8", "replace")
        blank = gap[: len(gap) - len(gap.lstrip())]
        lead = self._lead_in.fullmatch(gap, len(blank))
        if lead is None:
            return None
        text = (
            self._line_doc(comments, last, blank, source) if self.adjacent else self._block_doc(comments, last, source)
        )
        if not text.strip():
            return None
        return Doc(text, ends[last] + len(blank.encode()), lead.groupdict().get("name") or "")

    def lead(self, start: int, source: bytes) -> tuple[int, str]:
        """Where the line's `export const name = ` and the like begins before a function at `start`, and that name."""
        line = source.rfind(b"\n", 0, start) + 1
        before = source[line:start].decode("utf-8", "replace")
        blank = len(before) - len(before.lstrip())
        match = self._lead_in.fullmatch(before, blank)
        return (line + len(before[:blank].encode()), match.groupdict().get("name") or "") if match else (start, "")

    def _block_doc(self, comments: Sequence[Node], last: int, source: bytes) -> str:
        """The nearest doc comment above, with nothing between but others such as `// eslint-disable-next-line`."""
        text = self.text(node_text(comments[last]))
        while not text and last and not source[comments[last - 1].end_byte : comments[last].start_byte].strip():
            last -= 1
            text = self.text(node_text(comments[last]))
        return text

    def _line_doc(self, comments: Sequence[Node], last: int, blank: str, source: bytes) -> str:
        """The whole-line comments that stand right above, in rows without a gap."""
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
    """A node's source; empty for no node."""
    return node.text.decode() if node is not None else ""


def captured(captures: dict[str, list[Any]], name: str) -> list[Node]:
    """The captures of one name in the order of the source."""
    return sorted(captures.get(name, ()), key=start_of)


def within(nodes: Sequence[Node], start: int, end: int) -> list[tuple[int, int]]:
    """First and last byte of the nodes, given in order, that begin in a range."""
    first, last = bisect_left(nodes, start, key=start_of), bisect_left(nodes, end, key=start_of)
    return [(node.start_byte, node.end_byte) for node in nodes[first:last]]
