"""Data flow of a function: its variables and the origins of their values (Guo et al. 2021, arXiv 2009.08366).

    >>> extract_dataflow("def f(a):\\n    b = a + 1\\n    return b", "python")[1][0]
    ['1', 10, 'comesFrom', [], []]

`syntax` parses code, `lowering` turns the tree into tokens and a small program with the rules of `rules`, `grammars`
maps the node kinds of each language to rules, and `flow` runs the program.
"""

import logging
from collections import Counter

from src.dataflow.flow import Edge, Flow
from src.dataflow.grammars import LANGUAGES
from src.dataflow.syntax import parse

__all__ = ["LANGUAGES", "Edge", "extract_dataflow", "unparsed"]

log = logging.getLogger(__name__)
unparsed: Counter[str] = Counter()  # functions without data flow in this process, by language


def extract_dataflow(code: str, language: str) -> tuple[list[str], list[Edge]]:
    """The tokens of a function and its data flow.

    Args:
        code: one function, or a method without its class.
        language: one of `LANGUAGES`.

    Returns:
        The tokens: the leaves of the syntax tree without comments and docstrings; a string is one token, and those of
        php are between `<?php` and `?>`. And the sorted edges [variable, token index, "comesFrom" | "computedFrom",
        [parent names], [parent token indices]]: a use comes from the variable's last definitions, an assigned variable
        is computed from those on the right side, and a value without parents starts there.
        Code that does not parse has tokens but no edges; it is logged and counted in `unparsed`.

    Raises:
        InputError: another language, or code with a lone surrogate.
    """
    lowered, error_line = parse(code, language)
    if error_line is None:
        return lowered.tokens, Flow(lowered.tokens).run(lowered.program)
    unparsed[language] += 1
    # a warning after 1, 10, 100, ... failures; every failure at debug level
    level = logging.WARNING if str(unparsed[language]).strip("0") == "1" else logging.DEBUG
    message = "expected a function in %s, found a syntax error at its line %d; no data flow, as for %d so far"
    log.log(level, message, language, error_line, unparsed[language])
    # A node that the parser inserted has no text.
    return [token for token in lowered.tokens if token], []
