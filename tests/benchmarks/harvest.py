"""Cost of a harvest over a plain tree-sitter parse of the same files, or its memory for more and more files.

python -m tests.benchmarks.harvest --lang go DIR [DIR ...]
python -m tests.benchmarks.harvest --lang java --shards 40 --rounds 5 /usr/lib/jvm/openjdk-17/src.zip
python -m tests.benchmarks.harvest --lang go --memory DIR [DIR ...]

A harvest reads, parses, extracts, filters, tokenises and writes its rows; the plain parse reads and parses. Both leave
out the files that are skipped by name, size or content, and take turns on each shard, in one process. The minimum of
each is what other work on the machine disturbed least.

Memory is the peak that the system saw of the command's process and of the largest of its workers, each harvest in a
process of its own, for a quarter of the files, drawn evenly, and for all.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from src.corpora.harvester.languages import language_of
from src.corpora.harvester.pipeline import harvest, plan
from src.corpora.harvester.shards import Shard, _unusable, cut, make
from src.corpora.harvester.source_trees import SourceFile, Tree, find_trees, source_files


def parse_all(shard: Shard, files: list[SourceFile]) -> None:
    parser = language_of(shard.language).parser
    for file in files:
        parser.parse(shard.trees[file.tree].read(file.path))


def usable(shard: Shard) -> list[SourceFile]:
    return [file for file in shard.files if not _unusable(shard.trees[file.tree].read(file.path), file.size)]


def cost(language: str, trees: list[Tree], found: list[SourceFile], most: int, rounds: int, folder: Path) -> None:
    shards = list(cut(folder, language, trees, found))[:most]
    seconds: dict[str, list[float]] = {"harvest": [], "plain": []}
    for number in range(rounds):
        spent = dict.fromkeys(seconds, 0.0)
        for shard in shards:
            files = usable(shard)
            for way in sorted(seconds, reverse=bool(number % 2)):
                start = time.perf_counter()
                make(shard) if way == "harvest" else parse_all(shard, files)
                spent[way] += time.perf_counter() - start
        for way, total in spent.items():
            seconds[way].append(total)
        print(f"  round {number + 1}: harvest {spent['harvest']:.2f} s, plain parse {spent['plain']:.2f} s")
    kept = sum(len(shard.report()["index"]) for shard in shards)
    ratios = [ours / theirs for ours, theirs in zip(*seconds.values())]
    print(
        f"{language}: {sum(len(s.files) for s in shards):,} files, {kept:,} functions; harvest costs "
        f"{statistics.median(ratios):.2f} x the plain parse (median of {rounds}, {min(ratios):.2f} to "
        f"{max(ratios):.2f}), {min(seconds['harvest']) / min(seconds['plain']):.2f} x by the minimum of each"
    )


def memory(language: str, trees: list[Tree], found: list[SourceFile], folder: Path) -> None:
    for share in (4, 1):
        root = folder / f"a-{share}th"
        for file in found[::share]:
            copy = root / trees[file.tree].name / file.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(trees[file.tree].read(file.path))
        command = [sys.executable, "-m", "tests.benchmarks.harvest", "--lang", language, "--measured", str(root)]
        shown = subprocess.run(command, check=True, capture_output=True, text=True)
        print(shown.stdout, end="")


def measured(language: str, roots: Sequence[str]) -> None:
    """One whole harvest in two workers; maxrss is in KiB."""
    with tempfile.TemporaryDirectory() as folder:
        work = plan(language, roots)
        about = harvest(work, folder, workers=2)
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    kept = sum(about["sizes"].values())
    print(
        f"{language}: {len(work.files):,} files, {sum(file.size for file in work.files) / 1e6:,.1f} MB, {kept:,} "
        f"functions; peak {peaks[0]:,.0f} MiB, largest of two workers {peaks[1]:,.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="+")
    parser.add_argument("--lang", required=True)
    parser.add_argument("--shards", type=int, default=10**9, help="the first so many (of up to 64 files)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()

    if args.measured:
        return measured(args.lang, args.roots)
    trees = find_trees(args.roots)
    found = source_files(trees, language_of(args.lang), Counter())
    with tempfile.TemporaryDirectory() as folder:
        if args.memory:
            memory(args.lang, trees, found, Path(folder))
        else:
            cost(args.lang, trees, found, args.shards, args.rounds, Path(folder))


if __name__ == "__main__":
    main()
