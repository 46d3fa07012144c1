"""A function's code without comments and docstrings, and its tokens; string literals keep every byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

Range = tuple[int, int]  # first byte, byte after the last

# Names with their sigils, signs that begin no operator, numbers, operators (longest first), any other sign. This is a
# tenth of a harvest's time: the frequent ones come first, what cannot begin an operator is not tried as one, and blanks
# are passed over, not tried as anything.
_TOKEN = re.compile(
    r"\s*([^\W\d]\w*|[(){}\[\],;]|\.(?!\.)|\d[\w.]*|[@$]{1,2}[^\W\d]\w*|(?=[-+*/%&|^!=<>.~?:])(?:<=>|\*\*=|>>>=?|<<=|>>="
    r"|===|!==|\.\.\.|&&=|\|\|=|\?\?=|\?->|->|=>|::|:=|<-|&&|\|\||\?\?|\?\.|\+\+|--|\*\*|<<|>>|\.\.|=~|!~"
    r"|[-+*/%&|^!=<>.~]=)|\S)"
)

_LITERAL = b"\0"  # stands for a literal while the code around it is worked on
_LITERALS = re.compile(rb"(\0)")
_INDENT = re.compile(rb"[ \t]*")
_AFTER_DOCSTRING = re.compile(rb"[ \t]*(?:;[ \t]*)?")


def bare(
    source: bytes,
    start: int,
    end: int,
    ranges: Sequence[Iterable[Range]],
    fewest_lines: int = 0,
) -> tuple[str, list[str]] | None:
    """Code of source[start:end], dedented and without blank lines, and its tokens (a literal is one token).

    `ranges` are those of comments, docstrings and literals. They may lie inside one another: the outermost decides,
    so that a comment sign inside a literal stays. The source holds no NUL. None for code of fewer lines.
    """
    marked = [(*found, kind) for kind, same in enumerate(ranges) for found in same]
    marked.sort(key=lambda item: (item[0], -item[1]))
    pieces: list[bytes] = []  # of the code; every second one stands for a range
    literals: list[bytes] = []
    at = start
    for first, last, kind in marked:
        if first < at or last > end:
            continue
        pieces.append(source[at:first])
        if kind == 2:
            literals.append(source[first:last])
            pieces.append(_LITERAL)
        elif kind == 1:
            last += len(_AFTER_DOCSTRING.match(source[last:end]).group())
        else:
            if source[last : last + 1] == b"\n":  # which may be the first byte of a heredoc's body
                pieces[-1] = pieces[-1].rstrip(b" \t")
            pieces.append(_gap(source, first, last, end))
        at = last
    pieces.append(source[at:end])
    text = b"".join(pieces)
    line_start = source.rfind(b"\n", 0, start) + 1
    code = _tidy(text, _INDENT.match(source, line_start, start).group())
    if literals:  # put back last: what is inside them is neither dedented nor stripped
        texts = iter(literals)
        code = b"".join(next(texts) if part == _LITERAL else part for part in _LITERALS.split(code))
    if code.count(b"\n") + 1 < fewest_lines:
        return None
    tokens = _TOKEN.findall(text.decode())
    if literals:
        words = iter([literal.decode() for literal in literals])
        tokens = [next(words) if token == "\0" else token for token in tokens]
    return code.decode(), tokens


def _tidy(code: bytes, indent: bytes) -> bytes:
    """Lines without the first line's indentation and trailing blanks; blank ones are left out."""
    code = b"\n".join(filter(None, map(bytes.rstrip, code.split(b"\n")))).strip()
    return code.replace(b"\n" + indent, b"\n") if indent else code


def _gap(source: bytes, first: int, last: int, end: int) -> bytes:
    """What parts the tokens on both sides of a comment: a comment over several lines counts as a line end."""
    after = source[last:end].lstrip(b" \t")[:1]
    if after in (b"", b"\n") or source[last - 1 : last] == b"\n":
        return b"\n" if source[last - 1 : last] == b"\n" else b""
    if b"\n" in source[first:last]:
        return b"\n"
    return b"" if source[first - 1 : first].isspace() or source[last : last + 1].isspace() else b" "
