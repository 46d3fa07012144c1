"""Ruby: comment lines (or =begin ... =end) right above the method, as RDoc and YARD read them."""

import re
from collections.abc import Callable

from src.corpora.harvester.base import Language

_MAGIC = re.compile(r"#\s*(?:-\*-|!|(?:frozen_string_literal|encoding|coding|warn_indent|typed|rubocop)\s*:)")
_DIRECTIVE = re.compile(r"[ \t]*:(?:nodoc|doc|startdoc|stopdoc|notnew|yields?|args|method|attr\w*|section|category):.*")
_CALL_SEQ = re.compile(r"^([ \t]*):?call-seq:.*(?:\n(?:\1[ \t]+\S.*|[ \t]*(?=\n\1[ \t]+\S)))*", re.MULTILINE)
_PRIVATE = re.compile(r"^[ \t]*--[ \t]*$.*?(?:^[ \t]*\+\+[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_TAG = re.compile(r"^[ \t]*@!?\w+.*\Z", re.MULTILINE | re.DOTALL)
_PLUS = re.compile(r"(?<![\w+])\+([^\s+]+)\+(?![\w+])")
_LABEL = re.compile(r"\{([^{}]+)\}\[[^\[\]]*\](?!\()|\{([A-Z#:][\w:#.?!=]*)\}|(\w+)\[rdoc-ref:[^\[\]]*\]")
_ESCAPE = re.compile(r"\\(?=[A-Z:#_*+<])")
_UNDERSCORE = re.compile(r"(?<!\w)_([A-Za-z]+)_(?!\w)")
_REPLACEMENTS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_CALL_SEQ, ""),
    (_PRIVATE, ""),
    (_TAG, ""),
    (_PLUS, r"\1"),
    (_LABEL, lambda match: next(filter(None, match.groups()))),  # braces or brackets
    (_UNDERSCORE, r"\1"),
    (_ESCAPE, ""),
)


class Ruby(Language):
    name = "ruby"
    suffixes = (".rb",)
    query = """
        [(method) (singleton_method)] @function [(class) (module)] @scope
        (comment) @comment
        [(string) (heredoc_body) (regex) (subshell) (string_array) (symbol_array) (delimited_symbol)
          (character)] @string
    """
    may_document = re.compile(rb"(?:#|=end)[^\n]*\n[^\n\w#=]*(?:\w+\s+)?def\b")
    standard_methods = frozenset(
        """initialize initialize_copy to_s to_str inspect display dup clone == === != eql? equal? <=> < <= > >= =~
        between? hash""".split()  # noqa: SIM905 - one name per line would be long
    )
    test_files = r"test_.*\.rb|.*_(?:test|spec)\.rb"
    test_folders = frozenset(("spec", "specs", "features"))
    lead_in = re.compile(r"(?:(?:private|protected|public|module_function|private_class_method|memoize)\s+)?")
    line_comments = True

    def text(self, comment: str) -> str:
        if comment.startswith("=begin"):
            return comment.rstrip().removesuffix("=end").partition("\n")[2]
        lines = [line.strip() for line in comment.split("\n") if not _MAGIC.match(line.strip())]
        stripped = [line.lstrip("#") for line in lines]
        return "\n".join("" if _DIRECTIVE.fullmatch(line) else line.removeprefix(" ") for line in stripped)

    def strip_tags(self, text: str) -> str:
        for expression, replacement in _REPLACEMENTS:
            text = expression.sub(replacement, text)
        return text
