"""The source files below the roots of an index, in all languages."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.corpora.harvester.languages import LANGUAGES
from src.corpora.harvester.source_trees import SourceFile, Tree, find_trees, reason_to_skip, walk
from src.utils.errors import InputError

LANGUAGE_OF = {suffix: language for language in LANGUAGES.values() for suffix in language.suffixes}


@dataclass(frozen=True)
class Sources:
    """The files to index."""

    trees: list[Tree]
    files: dict[str, list[SourceFile]]  # language -> its files
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> number of files
    unreadable: list[str] = field(default_factory=list)  # folders


def find(roots: Sequence[str], skip: Collection[str]) -> Sources:
    """Walks every root once; raises InputError for one that is missing, unreadable or without any source."""
    trees = find_trees(roots)
    for tree in trees:
        if not os.access(tree.root, os.R_OK | (os.X_OK if Path(tree.root).is_dir() else 0)):
            raise InputError(f"root {tree.root} cannot be read: change its permissions, or give roots without it")
        if around := next((other.root for other in trees if Path(other.root) in Path(tree.root).parents), None):
            raise InputError(f"root {tree.root} lies inside {around}, which includes its functions: leave it out")
    found = Sources(trees, {name: [] for name in LANGUAGES})
    for number, tree in enumerate(trees):
        own, before = 0, found.skipped.total()
        for path, size, stamp in walk(tree.root, found.unreadable.append):
            language = LANGUAGE_OF.get(os.path.splitext(path)[1])
            if language is None:
                continue
            reason = reason_to_skip(path, language).replace("test", "tests")
            if reason in skip:
                found.skipped[reason] += 1
            else:
                own += 1
                found.files[language.name].append(SourceFile(number, path, size, stamp))
        if own:
            continue
        if skipped := found.skipped.total() - before:
            raise InputError(
                f"all {skipped:,} source files of {tree.root} are skipped as vendored, tests or generated: give the "
                "folder that holds them as a root itself, or skip=[]"
            )
        suffixes = ", ".join(f"*{suffix}" for suffix in LANGUAGE_OF)
        raise InputError(f"expected sources ({suffixes}) in roots, found none in {tree.root}")
    for files in found.files.values():
        files.sort(key=lambda file: (file.tree, file.path))
    return found
