"""Cost of a harvest over a plain tree-sitter parse of the same files, shard by shard in one process.

python -m tests.benchmarks.harvest --lang go DIR [DIR ...]
python -m tests.benchmarks.harvest --lang java --shards 40 /usr/lib/jvm/openjdk-17/src.zip

A harvest reads, parses, extracts, filters, tokenises and writes its rows; the plain parse reads and parses. Both leave
out the files that are skipped by name, size or content, and take turns on each shard.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path

from src.harvester.languages import language_of
from src.harvester.shards import Shard, _unusable, cut, make
from src.harvester.trees import SourceFile, find_trees, source_files


def parse_all(shard: Shard, files: list[SourceFile]) -> None:
    parser = language_of(shard.language).parser
    for file in files:
        parser.parse(shard.trees[file.tree].read(file.path))


def usable(shard: Shard) -> list[SourceFile]:
    return [file for file in shard.files if not _unusable(shard.trees[file.tree].read(file.path), file.size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+")
    parser.add_argument("--lang", required=True)
    parser.add_argument("--shards", type=int, default=10**9, help="the first so many (of up to 64 files)")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    trees = find_trees(args.roots)
    found = source_files(trees, language_of(args.lang), Counter())
    with tempfile.TemporaryDirectory() as folder:
        shards = list(cut(Path(folder), args.lang, trees, found))[: args.shards]
        ratios, kept = [], 0
        for number in range(args.rounds):
            plain = harvest = 0.0
            for shard in shards:
                files = usable(shard)
                for way in ("plain", "harvest") if number % 2 else ("harvest", "plain"):
                    start = time.perf_counter()
                    if way == "plain":
                        parse_all(shard, files)
                        plain += time.perf_counter() - start
                    else:
                        make(shard)
                        harvest += time.perf_counter() - start
            ratios.append(harvest / plain)
            kept = sum(len(shard.report()["index"]) for shard in shards)
            print(f"  round {number + 1}: harvest {harvest:.2f} s, plain parse {plain:.2f} s, {ratios[-1]:.2f} x")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{args.lang}: {sum(len(s.files) for s in shards):,} files, {kept:,} functions, peak memory {memory:,.0f} MB")
    print(f"harvest costs {statistics.median(ratios):.2f} x the plain parse (median of {args.rounds})")


if __name__ == "__main__":
    main()
