"""What a language is to the harvester: a grammar, two queries, and how its doc comments are written."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Query

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
    functions: ClassVar[str]  # query over a file: @function (with a body), @scope (its `name` qualifies), @comment
    inside: ClassVar[str]  # query over a function: @comment and @docstring go, nothing touches @string
    markers: ClassVar[tuple[bytes, ...]]  # a file without any of them holds no doc comment and is not parsed
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
    def function_query(self) -> Query:
        return Query(self._grammar, self.functions)

    @cached_property
    def inside_query(self) -> Query:
        return Query(self._grammar, self.inside)

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
        if self.adjacent and blank.count("\n") + source.endswith(b"\n", 0, ends[last]) != 1:
            return None
        lead = self._lead_in.fullmatch(gap, len(blank))
        if lead is None:
            return None
        first = self._first_of_block(comments, last, source) if self.adjacent else last
        raw = [source[comment.start_byte : comment.end_byte].decode() for comment in comments[first : last + 1]]
        text = self.text("\n".join(raw))
        if not text.strip():
            return None
        begin = ends[last] + len(blank.encode())
        return Doc(text, begin, lead.groupdict().get("name") or "")

    @staticmethod
    def _first_of_block(comments: Sequence[Node], last: int, source: bytes) -> int:
        """Position of the first of the whole-line comments that stand in rows without a gap up to `last`."""
        first = last
        if not _whole_line(comments[last], source):
            return last + 1  # the comment of the line before: no doc comment at all
        while (
            first
            and comments[first - 1].end_point.row + (comments[first - 1].end_point.column > 0)
            == comments[first].start_point.row
            and _whole_line(comments[first - 1], source)
        ):
            first -= 1
        return first


def _whole_line(comment: Node, source: bytes) -> bool:
    start = comment.start_byte
    return not source[source.rfind(b"\n", 0, start) + 1 : start].strip()


def node_text(node: Node | None) -> str:
    """A node's source; empty for no node."""
    return node.text.decode() if node is not None else ""


def captured(captures: dict[str, list[Any]], name: str) -> list[Node]:
    """The captures of one name in the order of the source."""
    return sorted(captures.get(name, ()), key=lambda node: node.start_byte)
