"""The common part of Javadoc, JSDoc and PHPDoc: /** ... */ with block tags."""

import re

from src.corpora.harvester.base import Language

_STARS = re.compile(r"^[ \t]*\*+[ \t]?", re.MULTILINE)
_TAG = re.compile(r"^[ \t]*@(\w[\w-]*)[ \t]*(.*)", re.MULTILINE)
_DESCRIPTION = frozenset(("desc", "description", "summary", "brief", "short"))
_BREAK = re.compile(
    r"</?(?:p|br\s*/?>\s*<br|blockquote|dd|div|dl|dt|h[1-6]|hr|li|ol|section|table|tbody|td|th|thead|tr|ul)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_VERBATIM = re.compile(r"<(pre|listing|example|xmp|script)\b[^<>]*>.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)


class BlockCommentLanguage(Language):
    """A language whose documentation is in comments of this kind."""

    def text(self, comment: str) -> str:
        if not comment.startswith("/**") or comment.startswith("/***") or len(comment) < 6:
            return ""
        first, _, rest = comment[3:-2].rstrip("*").partition("\n")
        return first.strip() + "\n" + _STARS.sub("", rest)

    def strip_tags(self, text: str) -> str:
        """The text before the first block tag, or that of @description; block elements of HTML become paragraphs."""
        before, tag, rest = "", "description", text
        while not before.strip():
            match = _TAG.search(rest)
            if tag in _DESCRIPTION:
                before = rest[: match.start()] if match else rest
            if not match:
                break
            tag, rest = match[1].lower(), match[2] + rest[match.end() :]
        return _BREAK.sub("\n\n", _VERBATIM.sub("\n\n", before))
