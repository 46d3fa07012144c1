"""Which split each file goes to: repositories stay whole, or modules where there are few repositories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from src.corpora.modules import assign_modules

BEGINS = {"train": 0.0, "valid": 0.8, "test": 0.9}
FEWEST_REPOSITORIES = 10  # a tenth of the repositories must be one
LARGEST_GROUP = 0.05  # of all functions; half of a small split


def assign_files(functions: Mapping[str, int]) -> dict[str, str]:
    """File -> split, from the number of functions in every file (`repository/path/of/file`).

    With enough repositories each is kept whole. Else every group of more than `LARGEST_GROUP` is divided into the
    folders below it: first by repository, then by top-level module, and so on. What groups there are depends on the
    numbers of functions, where a group goes on its name and the others'.
    """
    files = sorted(functions)
    repositories = Counter[str]()
    for file in files:
        repositories[file.split("/")[0]] += functions[file]
    if len(repositories) >= FEWEST_REPOSITORIES:
        split_of = assign_modules(repositories, BEGINS)
        if set(split_of.values()) == set(BEGINS):
            return {file: split_of[file.split("/")[0]] for file in files}

    groups = dict(_groups(files, "", functions, LARGEST_GROUP * sum(functions.values())))
    split_of = assign_modules({name: sum(map(functions.__getitem__, group)) for name, group in groups.items()}, BEGINS)
    return {file: split_of[name] for name, group in groups.items() for file in group}


def _groups(
    files: Sequence[str], prefix: str, functions: Mapping[str, int], largest: float
) -> Iterator[tuple[str, list[str]]]:
    """Name and files of each group; files of one folder stay together, as they are one package in many languages."""
    if len(files) == 1 or sum(map(functions.__getitem__, files)) <= largest:
        yield prefix, list(files)
        return
    below: dict[str, list[str]] = {}
    for file in files:
        folder, slash, _ = file[len(prefix) :].partition("/")
        below.setdefault(f"{prefix}{folder}/" if slash else prefix, []).append(file)
    for name, group in below.items():
        if name != prefix:
            yield from _groups(group, name, functions, largest)
        elif sum(map(functions.__getitem__, group)) <= largest:
            yield f"{name}.", group
        else:
            yield from ((file, [file]) for file in group)
