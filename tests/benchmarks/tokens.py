"""Tokenising once: time and memory of it, and of finding it again, as ratios to the tokenizer called on batches.

python -m tests.benchmarks.tokens FOLDER [--pairs 20000] [--rounds 3] [--batch_size 64] [--tokens 256]

FOLDER holds a pretrained encoder. Pairs are documented functions of python's standard library, the library over and
over with a number at each one's end. `batched` is transformers' tokenizer on 1,000 texts at a time, its ids kept as
lists; `once` is ours, into the cache; `again` finds them there, checks their sums and maps them. All in turns in one
run, medians; seconds of the CPU, threads included. `MB held` is what the result holds in this process. Then the
loader: batches of pairs as the model gets them, in one process, from the mapped arrays and by tokenising each batch.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from src.backbones.transformer import TransformerEncoder
from src.corpora.stdlib import StdlibCorpus
from src.data.length_buckets import LengthBucketer, UntokenizedTexts
from src.data.token_cache import tokenised
from src.utils.ragged import Ragged

SIDES = ("query", "code")


def texts_of(pairs: int) -> dict[str, list[str]]:
    """`pairs` queries and codes, all different."""
    found = StdlibCorpus().split("train").pairs
    return {side: [f"{getattr(found[i % len(found)], side)} {i}" for i in range(pairs)] for side in SIDES}


def batched(encoder: TransformerEncoder, texts: dict[str, list[str]]) -> Any:
    """The ids of all texts, as lists."""
    kept = []
    for side in SIDES:
        longest = encoder.max_query_tokens if side == "query" else encoder.max_code_tokens
        for start in range(0, len(texts[side]), 1000):
            chosen = texts[side][start : start + 1000]
            kept += encoder.tokenizer(chosen, truncation=True, max_length=longest)["input_ids"]
    return kept


def contenders(encoder: TransformerEncoder, texts: dict[str, list[str]], root: Path) -> dict[str, Callable[[], Any]]:
    """name -> all texts of both sides tokenised in that way."""

    def ours() -> list[Ragged | UntokenizedTexts]:
        return [tokenised(encoder, texts[side], side, root) for side in SIDES]

    def once() -> list[Ragged | UntokenizedTexts]:
        shutil.rmtree(root, ignore_errors=True)
        return ours()

    return {"batched": lambda: batched(encoder, texts), "once": once, "again": ours}


def in_turns(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """CPU seconds of each round."""
    seconds = {name: np.empty(rounds) for name in ways}
    for round_ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            seconds[name][round_] = time.process_time() - start
    return seconds


def held(way: Callable[[], Any]) -> float:
    """MB that python and numpy hold for the result."""
    tracemalloc.start()
    result = way()
    size = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    del result
    return size


def loading(encoder: TransformerEncoder, texts: dict[str, list[str]], root: Path, size: int, batches: int = 20) -> Any:
    """Pairs per CPU second of batches in parts, from the cache and tokenised in the loader."""
    order = np.random.default_rng(0).permutation(len(texts["query"]))
    cut, speeds = LengthBucketer(encoder, 1024), []
    for mapped in (True, False):
        items = [
            tokenised(encoder, texts[s], s, root) if mapped else UntokenizedTexts(encoder, texts[s], s) for s in SIDES
        ]
        start = time.process_time()
        for rows in np.resize(order, (batches, size)):
            for of_side in items:
                cut(of_side[rows])
        speeds.append(batches * size / (time.process_time() - start))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    for name, default in {"pairs": 20_000, "rounds": 3, "batch_size": 64, "tokens": 256}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    encoder = TransformerEncoder(given.folder, "mean", given.tokens, given.tokens)
    texts = texts_of(given.pairs)
    root = Path(tempfile.mkdtemp())
    try:
        ways = contenders(encoder, texts, root)
        seconds = in_turns(ways, given.rounds)
        print(f"{given.pairs:,} pairs, {given.tokens} tokens")
        for name, values in seconds.items():
            faster = np.median(seconds["batched"] / values)
            took = f"{name:8} {np.median(values):8.3f} s  {faster:7.1f} times as fast as batched"
            print(f"{took}  {held(ways[name]):6.0f} MB held")
        mapped, tokenising = loading(encoder, texts, root, given.batch_size)
        print(f"loader   {mapped:,.0f} pairs/s, {mapped / tokenising:.1f} times as fast as tokenising each batch")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
