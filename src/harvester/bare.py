"""A function's code without comments and docstrings, and its tokens; string literals keep every byte."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator

Range = tuple[int, int]  # first byte, byte after the last

# Names with their sigils, signs that begin no operator, numbers, operators (longest first), any other sign. The
# frequent ones come first: this is a tenth of a harvest's time.
_TOKEN = re.compile(
    r"[^\W\d]\w*|[(){}\[\],;]|\.(?!\.)|\d[\w.]*|[@$]{1,2}[^\W\d]\w*|<=>|\*\*=|>>>=?|<<=|>>=|===|!==|\.\.\.|&&=|\|\|=|\?\?=|\?->"
    r"|->|=>|::|:=|<-|&&|\|\||\?\?|\?\.|\+\+|--|\*\*|<<|>>|\.\.|=~|!~|[-+*/%&|^!=<>.~]=|\S"
)


def bare(
    source: bytes,
    start: int,
    end: int,
    comments: Iterable[Range],
    docstrings: Iterable[Range],
    strings: Iterable[Range],
) -> tuple[str, list[str]]:
    """Code of source[start:end], dedented and without blank lines, and its tokens (a literal is one token).

    Ranges may lie inside one another: the outermost decides, so that a comment sign inside a literal stays.
    """
    pieces: list[bytes] = []
    tokens: list[str] = []
    literals: list[Range] = []  # those over several lines, in the result
    length, at = 0, start
    marked = [(*r, 0) for r in comments] + [(*r, 1) for r in docstrings] + [(*r, 2) for r in strings]
    for first, last, kind in sorted(marked, key=lambda item: (item[0], -item[1])):
        if first < at or last > end:
            continue
        pieces.append(code := source[at:first])
        tokens += _TOKEN.findall(code.decode())
        if kind == 2:
            pieces.append(piece := source[first:last])
            tokens.append(piece.decode())
            if b"\n" in piece:
                literals.append((length + len(code), length + len(code) + len(piece)))
        elif kind == 1:
            pieces.append(piece := b"")
            last += len(re.match(rb"[ \t]*(?:;[ \t]*)?", source[last:end]).group())
        else:
            pieces.append(piece := _gap(source, first, last, end))
        length += len(code) + len(piece)
        at = last
    pieces.append(code := source[at:end])
    tokens += _TOKEN.findall(code.decode())
    indent = re.match(rb"[ \t]*", source[source.rfind(b"\n", 0, start) + 1 : start]).group()
    return b"\n".join(_lines(b"".join(pieces), literals, indent)).decode(), tokens


def _gap(source: bytes, first: int, last: int, end: int) -> bytes:
    """What parts the tokens on both sides of a comment: a comment over several lines counts as a line end."""
    after = source[last:end].lstrip(b" \t")[:1]
    if after in (b"", b"\n") or source[last - 1 : last] == b"\n":
        return b"\n" if source[last - 1 : last] == b"\n" else b""
    if b"\n" in source[first:last]:
        return b"\n"
    return b"" if source[first - 1 : first].isspace() or source[last : last + 1].isspace() else b" "


def _lines(code: bytes, literals: list[Range], indent: bytes) -> Iterator[bytes]:
    """Lines without the first line's indentation and trailing blanks; blank ones are left out. Not inside a literal."""
    if not literals:
        yield from (line.rstrip().removeprefix(indent) for line in code.split(b"\n") if not line.isspace() and line)
        return
    starts = [first for first, _ in literals]

    def inside(position: int) -> bool:
        nearest = bisect_left(starts, position) - 1
        return nearest >= 0 and literals[nearest][0] < position < literals[nearest][1]

    begin = 0
    for line in code.split(b"\n"):
        end = begin + len(line)
        begins_inside, ends_inside = inside(begin), inside(end)
        if not ends_inside:
            line = line.rstrip() if not begins_inside else line.rstrip(b" \t\r")
        if begins_inside:
            yield line
        elif line or ends_inside:
            yield line.removeprefix(indent)
        begin = end + 1
