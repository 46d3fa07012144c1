"""Splits by group: whole modules or repositories are assigned to a split, so that similar functions stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


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
