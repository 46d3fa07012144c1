"""Cost of the data flow: ours against the bare parse, and against the parse and a walk over the leaves, in one run.

python -m tests.benchmarks.dataflow

Both are timed on the same functions (tests/golden/dataflow_cases.jsonl.gz), interleaved; the fastest round counts.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tree_sitter import Tree

from src.backbones.dataflow import LANGUAGES, extract_dataflow
from src.backbones.dataflow.grammars import FILES, grammar

GOLDEN = Path(__file__).parents[1] / "golden" / "dataflow_cases.jsonl.gz"
ROUNDS = 20


def fastest(contenders: list[Callable[[], object]]) -> list[float]:
    """Seconds of each contender's fastest round."""
    best = [float("inf")] * len(contenders)
    for _ in range(ROUNDS):
        for index, run in enumerate(contenders):
            started = time.perf_counter()
            run()
            best[index] = min(best[index], time.perf_counter() - started)
    return best


def each(function: Callable[[Any], object], items: list) -> None:
    """Calls it for every item and keeps no result, as a loader's worker does."""
    for item in items:
        function(item)


def leaves(parse: Callable[[bytes], Tree], source: bytes) -> list[bytes]:
    """The least that a tokeniser on a syntax tree does."""
    found, stack = [], [parse(source).root_node]
    while stack:
        node = stack.pop()
        if children := node.children:
            stack += reversed(children)
        else:
            found.append(node.text)
    return found


def main() -> None:
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    print("             functions   edges each   s per 1,000   times the parse   times parse and leaves")
    for language in LANGUAGES:
        codes = [case["code"] for case in cases if case["language"] == language]
        opening, closing = FILES.get(language, (b"", b""))
        sources = [opening + code.encode() + closing for code in codes]
        parse = grammar(language).parser.parse
        edges = sum(len(extract_dataflow(code, language)[1]) for code in codes) / len(codes)
        flow, bare, walk = fastest(
            [
                partial(each, partial(extract_dataflow, language=language), codes),
                partial(each, parse, sources),
                partial(each, partial(leaves, parse), sources),
            ]
        )
        print(
            f"{language:12} {len(codes):9,} {edges:12.1f} {flow / len(codes) * 1000:13.3f} {flow / bare:17.2f} "
            f"{flow / walk:24.2f}"
        )


if __name__ == "__main__":
    main()
