"""Data flow of a function: its variables, and where the value of each comes from (Guo et al. 2021, arXiv 2009.08366).

    >>> extract_dataflow("def f(a):\\n    b = a + 1\\n    return b", "python")[1][0]
    ['1', 10, 'comesFrom', [], []]

`syntax` parses, `lowering` turns the tree into tokens and a small program by the rules of `rules`, which `grammars`
gives to the nodes of each language, and `flow` runs the program.
"""

from __future__ import annotations

import logging
from collections import Counter

from src.dataflow.flow import Edge, Flow
from src.dataflow.grammars import LANGUAGES
from src.dataflow.syntax import UnparsedError, parse

__all__ = ["LANGUAGES", "Edge", "extract_dataflow", "unparsed"]

log = logging.getLogger(__name__)
unparsed: Counter[str] = Counter()  # functions without data flow in this process, by language


def extract_dataflow(code: str, language: str) -> tuple[list[str], list[Edge]]:
    """The tokens of a function and its data flow.

    Args:
        code: one function; in java and php also a method without its class.
        language: one of `LANGUAGES`.

    Returns:
        The tokens, which are the leaves of the syntax tree without comments (and docstrings), a string being one token;
        php's are between `<?php` and `?>`. And the sorted edges [variable, token index, "comesFrom" | "computedFrom",
        [parent names], [parent token indices]]: a use comes from the variable's last definitions, an assigned variable
        is computed from those on the right, and without a parent the value starts there.
        Code that does not parse has tokens but no edges; it is logged and counted in `unparsed`.

    Raises:
        InputError: the language is none of them, or the code is no Unicode text.
    """
    try:
        lowered = parse(code, language)
    except UnparsedError as error:
        unparsed[language] += 1
        # every failure for who asks, and 1, 10, 100, ... failures for who does not
        level = logging.WARNING if str(unparsed[language]).strip("0") == "1" else logging.DEBUG
        log.log(level, "%s; no data flow, as for %d so far", error, unparsed[language])
        return error.tokens, []
    return lowered.tokens, Flow(lowered.tokens).run(lowered.program)
