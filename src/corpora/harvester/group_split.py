"""How what belongs together is kept in one split: modules and repositories are divided among the splits, never their
functions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def assign_modules(sizes: Mapping[str, int], begins: Mapping[str, float]) -> dict[str, str]:
    """Module -> split. Laid end to end in the order of their hashes, each goes where its middle falls.

    A hash of each module alone would let one large package upset the proportions. `begins` says where on the line
    from 0 to 1 each split begins.
    """
    total, done, split_of = sum(sizes.values()), 0, {}
    for module in sorted(sizes, key=lambda module: hashlib.sha256(module.encode()).digest()):
        middle = (done + sizes[module] / 2) / total
        split_of[module] = max((name for name in begins if begins[name] <= middle), key=begins.__getitem__)
        done += sizes[module]
    return split_of
