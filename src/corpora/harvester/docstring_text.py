"""From a doc comment to a query: its first paragraph of prose, without tags, markup and signatures."""

import html
import re
from itertools import takewhile
from textwrap import dedent

# Lines that end the prose: sections of Google and NumPy docstrings, Sphinx fields, doctests, code fences.
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
_FORMULA = re.compile(r"\s*[\w<>-]+\s+(?:::)?=\s")  # a rule of a grammar, an assignment
_LICENCE = re.compile(
    r"copyright\s+(?:\(c\)|©|\d{4})|licen[sc]ed (?:under|to)|all rights reserved|spdx-licen|@licen[sc]e"
    r"|permission is hereby granted"
)
_REFERENCE = re.compile(r"\W*(?:see|alias (?:for|of|to)|same as)(?: also)?:? \S+\W*", re.IGNORECASE)

_BLANK_LINES = re.compile(r"\n(?: *\n)+")
_UNDERLINE = re.compile(r"\s*[=~-]{3,}\s*")
_INLINE_TAG = re.compile(r"\{@(\w+)\s*((?:[^{}]|\{[^{}]*\})*)\}")  # {@code x}, {@link Type#member label}
_LINK_TARGET = re.compile(r"[^|]*(?=\|)|[^\s(]+(?:\([^()]*\))?")  # of {@link}: before a bar or the label
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
    """The first paragraph of prose, with its markup; empty without prose.

    Skipped: verbatim blocks (all lines indented), signatures, headings, rulers, grammars. A section title, a doctest
    and the like end the prose, even within a paragraph.
    """
    text = text.expandtabs().lstrip("\n")
    if text.startswith(" "):  # otherwise there is no common indentation
        text = dedent(text)
    last = text.find("\n", len(text.rstrip(" \n")))
    for paragraph in _BLANK_LINES.split((text if last < 0 else text[:last]).lstrip("\n")):
        lines = paragraph.split("\n")
        prose = list(takewhile(lambda line: not _END.match(line), lines))
        while prose and (_SIGNATURE.match(prose[0]) or _NOT_PROSE.match(prose[0])):
            prose.pop(0)
        if prose and _FORMULA.match(prose[0]):
            continue
        underlined = len(lines) > 1 and _UNDERLINE.fullmatch(lines[1])
        if prose and not underlined and any(line[:1] != " " for line in prose):
            return "\n".join(prose)
        if len(prose) < len(lines) and not underlined and any(map(_END.match, lines)):
            return ""
    return ""


def is_licence(paragraph: str) -> bool:
    """Whether a paragraph is the licence header of a file."""
    return bool(_LICENCE.search(paragraph.lower()))


def is_reference(query: str) -> bool:
    """Whether a query only refers to other documentation: `See Type#method.`, `Alias for name`."""
    return bool(_REFERENCE.fullmatch(query))


def remove_markup(paragraph: str) -> str:
    """A paragraph on one line, without markup: Javadoc's inline tags, HTML, Markdown, reStructuredText."""
    text = html.unescape(_ELEMENT.sub("", _INLINE_TAG.sub(_inline_tag, paragraph)))
    text = _ROLE.sub(lambda match: _ROLE_TARGET.sub("", match[1]), text)
    for markup in (_LINK, _CODE, _STRONG):
        text = markup.sub(lambda match: match[match.lastindex or 0], text)
    return " ".join(text.translate(_PUNCTUATION).split()).removesuffix(" *")


def _inline_tag(match: re.Match[str]) -> str:
    tag, text = match[1], match[2].strip()
    if tag.lower() in ("inheritdoc", "docroot"):
        return ""
    if tag.startswith("link") or tag == "see":
        found = _LINK_TARGET.match(text)
        target, label = (found[0], text[found.end() :].removeprefix("|").strip()) if found else (text, "")
        text = label or target.lstrip("#").replace("#", ".")
    return text
