"""JavaScript: JSDoc before functions, methods, and functions that are assigned to something."""

import re

from src.corpora.harvester.block_comments import BlockCommentLanguage


class JavaScript(BlockCommentLanguage):
    name = "javascript"
    suffixes = (".js", ".mjs", ".cjs", ".jsx")
    query = """
        [(function_declaration) (generator_function_declaration) (method_definition)
          (function_expression) (generator_function) (arrow_function)] @function
        [(class_declaration) (class name: (_))] @scope
        (comment) @comment [(string) (template_string) (regex) (jsx_text)] @string
    """
    may_document = re.compile(rb"/\*\*")
    standard_methods = frozenset(("constructor", "toString", "toLocaleString", "valueOf"))
    test_files = r".*[.-](?:test|spec|bench)\.\w+|test[.-].*|tests?\.\w+"
    test_folders = frozenset(("spec", "specs", "__tests__", "__mocks__", "e2e"))
    # export default, const name =, Type.prototype.name = exports.name =, name: (a property), static #name = (a field)
    lead_in = re.compile(
        r"(?:export\s+)?(?:default\s+)?(?:(?:const|let|var)\s+)?(?:static\s+)?"
        r"(?:(?P<name>[\w$.#]+|'[^'\n]*'|\"[^\"\n]*\"|[\w$.]+\[[^\[\]\n]*\])\s*[=:]\s*)*"
    )
