"""The code of a function without comments and docstrings, and its tokens; string literals are never changed."""

import re
from collections.abc import Iterable, Sequence

# Names with their sigils, characters that begin no operator, numbers, operators (longest first), any other character.
# Tokenising takes a tenth of a harvest's time. Therefore the frequent kinds come first, a lookahead skips the operators
# where none can begin, and the expression consumes white space.
_TOKEN = re.compile(
    r"\s*([^\W\d]\w*|[(){}\[\],;]|\.(?!\.)|\d[\w.]*|[@$]{1,2}[^\W\d]\w*|(?=[-+*/%&|^!=<>.~?:])(?:<=>|\*\*=|>>>=?|<<=|>>="
    r"|===|!==|\.\.\.|&&=|\|\|=|\?\?=|\?->|->|=>|::|:=|<-|&&|\|\||\?\?|\?\.|\+\+|--|\*\*|<<|>>|\.\.|=~|!~"
    r"|[-+*/%&|^!=<>.~]=)|\S)"
)

_LITERAL = b"\0"  # replaces each literal while the code around it is changed
_AFTER_DOCSTRING = re.compile(rb"[ \t]*(?:;[ \t]*)?")


def strip_comments(
    source: bytes, start: int, end: int, ranges: Sequence[Iterable[tuple[int, int]]]
) -> tuple[str, list[str]]:
    """Code of source[start:end], dedented and without blank lines, and its tokens (a literal is one token).

    `ranges` (first byte, byte after the last) are those of comments, docstrings and literals, in this order. Where one
    is inside another, only the outer one counts, so that a comment marker inside a literal stays. The source must not
    contain NUL.
    """
    marked = [(*found, kind) for kind, same in enumerate(ranges) for found in same]
    marked.sort(key=lambda item: (item[0], -item[1]))
    pieces: list[bytes] = []  # code, and in turn the replacements of ranges
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
            last = end - len(_AFTER_DOCSTRING.sub(b"", source[last:end], count=1))
        else:
            if source[last : last + 1] == b"\n":  # which may begin the body of a heredoc
                pieces[-1] = pieces[-1].rstrip(b" \t")
            pieces.append(_gap(source, first, last, end))
        at = last
    pieces.append(source[at:end])
    text = b"".join(pieces)
    code = b"\n".join(filter(None, map(bytes.rstrip, text.split(b"\n")))).strip()
    line = source[source.rfind(b"\n", 0, start) + 1 : start]
    code = code.replace(b"\n" + line[: len(line) - len(line.lstrip(b" \t"))], b"\n")
    texts = iter(literals)  # inserted last, since literals are neither dedented nor stripped
    code = re.sub(_LITERAL, lambda _: next(texts), code)
    words = map(bytes.decode, literals)
    return code.decode(), [next(words) if token == "\0" else token for token in _TOKEN.findall(text.decode())]


def _gap(source: bytes, first: int, last: int, end: int) -> bytes:
    """Replacement of a comment that separates the tokens around it: a comment of several lines becomes a line end."""
    after = source[last:end].lstrip(b" \t")[:1]
    if after in (b"", b"\n") or source[last - 1 : last] == b"\n":
        return b"\n" if source[last - 1 : last] == b"\n" else b""
    if b"\n" in source[first:last]:
        return b"\n"
    return b"" if source[first - 1 : first].isspace() or source[last : last + 1].isspace() else b" "
