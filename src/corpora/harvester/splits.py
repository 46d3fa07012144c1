"""The split of each file: whole repositories, or whole modules if there are few repositories."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

SPLIT_STARTS = {"train": 0.0, "valid": 0.8, "test": 0.9}
MIN_REPOSITORIES = 10
LARGEST_GROUP = 0.05  # of all functions; half of a small split


def assign_files(functions: Mapping[str, int]) -> dict[str, str]:
    """File -> split, from the number of functions in every file (`repository/path/of/file`).

    With enough repositories, no repository is divided. Otherwise every group larger than `LARGEST_GROUP` is divided
    into the folders in it: first by repository, then by top-level module, and so on. The numbers of functions decide
    the groups, and their names decide the split of each.
    """
    repositories: dict[str, list[str]] = {}
    for file in sorted(functions):
        repositories.setdefault(file.split("/")[0], []).append(file)
    if split_of := _by_repository(_sizes(repositories, functions)):
        return {file: split_of[name] for name, files in repositories.items() for file in files}
    groups = dict(_groups(sorted(functions), "", functions, LARGEST_GROUP * sum(functions.values())))
    split_of = split_groups(_sizes(groups, functions), SPLIT_STARTS)
    return {file: split_of[name] for name, files in groups.items() for file in files}


def split_groups(sizes: Mapping[str, int], starts: Mapping[str, float]) -> dict[str, str]:
    """Group -> split, from the size of each group and the start of each split between 0 and 1.

    Groups are put on a line in the order of their hashes; each belongs to the split that contains its middle. Assigning
    each group by its own hash would let one large group distort the proportions.
    """
    total, done = sum(sizes.values()), 0
    split_of: dict[str, str] = {}
    for group in sorted(sizes, key=lambda group: hashlib.sha256(group.encode()).digest()):
        middle = (done + sizes[group] / 2) / total
        split_of[group] = max((name for name in starts if starts[name] <= middle), key=starts.__getitem__)
        done += sizes[group]
    return split_of


def _by_repository(sizes: Mapping[str, int]) -> dict[str, str]:
    """Repository -> split; empty if there are too few, or if the large ones leave too little for a split.

    Large repositories go to training: a test split of one repository says little about others.
    """
    total = sum(sizes.values())
    small = {name: size for name, size in sizes.items() if size <= LARGEST_GROUP * total}
    if len(sizes) < MIN_REPOSITORIES or not small:
        return {}
    left = sum(small.values())
    train = max(0.0, (SPLIT_STARTS["valid"] * total - (total - left)) / left)  # share of the small ones
    split_of = split_groups(small, {"valid": train, "test": (1 + train) / 2} | ({"train": 0.0} if train else {}))
    held = Counter[str]()
    for name, size in small.items():
        held[split_of[name]] += size
    if min(held["valid"], held["test"]) < LARGEST_GROUP * total:
        return {}
    return {name: split_of.get(name, "train") for name in sizes}


def _sizes(groups: Mapping[str, Sequence[str]], functions: Mapping[str, int]) -> dict[str, int]:
    return {name: sum(functions[file] for file in files) for name, files in groups.items()}


def _groups(
    files: Sequence[str], prefix: str, functions: Mapping[str, int], largest: float
) -> Iterator[tuple[str, list[str]]]:
    """Name and files of each group; files of one folder stay together, since many languages make them one package."""
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
