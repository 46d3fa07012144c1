"""A doc comment's first prose paragraph as a query: no tags, no markup, no signature."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from textwrap import dedent

# Line by line: what ends the prose. Sections of Google and NumPy docstrings, Sphinx fields, doctests, code fences.
_END = re.compile(
    r"\s*(?:"
    r"(?:Args|Arguments|Param(?:eter)?s?|Return(?:s|ed)?|Return values?|Raises|Throws|Yields|Examples?|Usage|Notes?"
    r"|See [Aa]lso|Attributes|References|Warnings?|Input|Output|Options|Keyword [Aa]rguments)\s*:?\s*$"
    r"|(?:Examples?|Usage|Args|Parameters|Params)\s*:"
    r"|:\w+[^:`]*:(?:\s|$)|>>> |```|~~~|\.\. \w[\w:-]*::"
    r")"
)
_NOT_PROSE = re.compile(r"[\W_]*$|=+ |#+ ")  # rulers, headings
# name(arguments) -> result, or name => result, alone on its line
_SIGNATURE = re.compile(
    r"\s*(?:(?:public|static|async|def|func|function) )*[\w.:#$\[\]<>*]+[?!=]?\s*"
    r"(?:\((?:[^()]|\([^()]*\))*\)\s*(?:\{[^{}]*\}\s*)?(?:(?:-+>|=+>|→|:)\s*\S.*)?|(?:-+>|=+>|→)\s*\S.*)[;:]?\s*$"
)
_FORMULA = re.compile(r"\s*[\w<>-]+\s+(?:::)?=\s")  # a grammar's rule, an assignment
_LICENCE = re.compile(
    r"copyright\s+(?:\(c\)|©|\d{4})|licen[sc]ed (?:under|to)|all rights reserved|spdx-licen|@licen[sc]e"
    r"|permission is hereby granted"
)
_LICENCE_WORDS = ("copyright", "licen", "reserved", "permission")  # 20 times as fast as the expression

_REFERENCE = re.compile(r"\W*(?:see|alias (?:for|of|to)|same as)(?: also)?:? \S+\W*", re.IGNORECASE)

_BLANK_LINES = re.compile(r"\n(?: *\n)+")
_UNDERLINE = re.compile(r"\s*[=~-]{3,}\s*")
_MARKUP = re.compile(r"[{<&\[`*]")
_PLAIN_MARKUP = re.compile(r"[\[`*]")
_INLINE_TAG = re.compile(r"\{@(\w+)\s*((?:[^{}]|\{[^{}]*\})*)\}")  # {@code x}, {@link Type#member label}
_ELEMENT = re.compile(
    r"</?(?:a|abbr|b|big|br|center|cite|code|del|dfn|em|font|i|ins|kbd|q|s|samp|small|span|strong|sub|sup|tt|u|var)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_ROLE = re.compile(r":(?:[\w+.-]+:)+`([^`]*)`")  # :class:`~module.Name`, :ref:`label <target>`
_ROLE_TARGET = re.compile(r"\s*<[^<>]*>$|^[~!]")
_LINK = re.compile(r"!?\[([^\[\]]+)\]\((?!http)[^()\s]*\)|\[\[([^\[\]]+)\]\]|\[([^\[\]]+)\]\[[\w ]*\]")
_CODE = re.compile(r"``([^`]*)``_*|`~?([^`]*)`_*")
_STRONG = re.compile(r"\*\*(\S(?:[^*]*\S)?)\*\*|(?<![\w*])\*([^\s*](?:[^*]*[^\s*])?)\*(?![\w*])")
_PUNCTUATION = str.maketrans(
    {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "→": "->", "\u00a0": " ", "•": "-"}
)


def first_paragraph(text: str) -> str:
    """The first paragraph that is prose, markup still inside; empty where there is none.

    Left out: verbatim blocks (all lines indented), signatures, headings, rulers, grammars. A section title, a doctest
    and the like end the prose, in the middle of a paragraph too.
    """
    for paragraph in _paragraphs(text):
        lines = paragraph.split("\n")
        kept = list(_until_the_end(lines))
        while kept and (_SIGNATURE.match(kept[0]) or _NOT_PROSE.match(kept[0])):
            kept.pop(0)
        if kept and _FORMULA.match(kept[0]):
            continue
        underlined = len(lines) > 1 and _UNDERLINE.fullmatch(lines[1])
        if kept and not underlined and any(line[:1] != " " for line in kept):
            return "\n".join(kept)
        if len(kept) < len(lines) and not underlined and any(map(_END.match, lines)):
            return ""
    return ""


def _paragraphs(text: str) -> Iterator[str]:
    """What blank lines part, without the common indentation; mostly only the first is asked for."""
    text = text.expandtabs().lstrip("\n")
    if text.startswith(" "):  # else the first line says that there is none
        text = dedent(text)
    last = text.find("\n", len(text.rstrip(" \n")))
    text = (text if last < 0 else text[:last]).lstrip("\n")
    start = 0
    for blank in _BLANK_LINES.finditer(text):
        yield text[start : blank.start()]
        start = blank.end()
    yield text[start:]


def is_licence(paragraph: str) -> bool:
    """Whether it is a file's licence header rather than a description."""
    lower = paragraph.lower()
    return any(word in lower for word in _LICENCE_WORDS) and bool(_LICENCE.search(lower))


def is_reference(query: str) -> bool:
    """Whether it only points at another description: `See Type#method.`, `Alias for name`."""
    return bool(_REFERENCE.fullmatch(query))


def plain(paragraph: str) -> str:
    """One line without markup: Javadoc's inline tags, HTML elements, Markdown, reStructuredText."""
    text = paragraph
    if _MARKUP.search(text):
        text = _INLINE_TAG.sub(_inline_tag, text) if "{@" in text else text
        text = html.unescape(_ELEMENT.sub("", text) if "<" in text else text)
        if _PLAIN_MARKUP.search(text):
            text = _ROLE.sub(lambda match: _ROLE_TARGET.sub("", match[1]), text)
            text = _LINK.sub(_first_group, text)
            text = _STRONG.sub(_first_group, _CODE.sub(_first_group, text))
    text = text if text.isascii() else text.translate(_PUNCTUATION)
    return " ".join(text.split()).removesuffix(" *")


def _until_the_end(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if _END.match(line):
            return
        yield line


def _inline_tag(match: re.Match[str]) -> str:
    tag, text = match[1], match[2].strip()
    if tag.lower() in ("inheritdoc", "docroot"):
        return ""
    if tag.startswith("link") or tag == "see":
        target, _, label = text.partition("|") if "|" in text else _after_target(text)
        text = label.strip() or target.lstrip("#").replace("#", ".")
    return text


def _after_target(text: str) -> tuple[str, str, str]:
    """A link's target, which may hold blanks inside parentheses, and its label."""
    match = re.match(r"[^\s(]+(?:\([^()]*\))?", text)
    return (match[0], "", text[match.end() :]) if match else (text, "", "")


def _first_group(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None)
