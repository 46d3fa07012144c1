"""Cost of the data flow: ours against the bare parse, and against the parse and a walk over the leaves, in one run.

python -m tests.benchmarks.dataflow
python -m tests.benchmarks.dataflow DIR        (functions of DIR/<language>/train.jsonl, as src.harvest writes)

Both are timed on the same functions (tests/golden/dataflow_cases.jsonl.gz), interleaved; the fastest round counts.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tree_sitter import Tree

from src.dataflow import LANGUAGES, extract_dataflow, unparsed
from src.dataflow.grammars import FILES, grammar

GOLDEN = Path(__file__).parents[1] / "golden" / "dataflow_cases.jsonl.gz"
ROUNDS = 5


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


def golden(language: str) -> list[str]:
    """The functions that the published extractor was run on."""
    with gzip.open(GOLDEN, "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    return [case["code"] for case in cases if case["language"] == language]


def harvested(folder: Path, language: str, most: int = 2000) -> list[str]:
    """Up to `most` functions, spread over folder/<language>/train.jsonl."""
    path = folder / language / "train.jsonl"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["code"] for line in lines[:: max(1, -(-len(lines) // most))]]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    print("             functions    parsed   edges each   s per 1,000   times the parse   times parse and leaves")
    for language in LANGUAGES:
        codes = harvested(folder, language) if folder else golden(language)
        if not codes:
            continue
        opening, closing = FILES.get(language, (b"", b""))
        sources = [opening + code.encode() + closing for code in codes]
        parse = grammar(language).parser.parse
        unparsed.clear()
        edges = sum(len(extract_dataflow(code, language)[1]) for code in codes) / len(codes)
        parsed = 1 - unparsed[language] / len(codes)
        flow, bare, walk = fastest(
            [
                partial(each, partial(extract_dataflow, language=language), codes),
                partial(each, parse, sources),
                partial(each, partial(leaves, parse), sources),
            ]
        )
        print(
            f"{language:12} {len(codes):9,} {parsed:9.2%} {edges:12.1f} {flow / len(codes) * 1000:13.3f} "
            f"{flow / bare:17.2f} {flow / walk:24.2f}"
        )


if __name__ == "__main__":
    main()
