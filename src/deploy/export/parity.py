"""Texts by which an export is compared with the model that it came from, and how near the two must be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch

from src.module import CodeSearchModule
from src.utils.errors import InputError

TOLERANCE = 1e-5  # of an embedding's entries, where embeddings have length 1; of longer ones, in their length
SIDES = ("query", "code")
# Short and long (beyond every default limit but the 8,192 of some), several scripts, code with its lines.
PROBES = {
    "query": (
        "read a file",
        "HTTPServer: retry on failure, up to 3 times?",
        "naïve Größe 數據 🙂",
        "sort " * 300,
    ),
    "code": (
        "def read_file(path):\n    with open(path) as file:\n        return file.read()\n",
        "x",
        'String s = "größer 數據 🙂";\t// naïve',
        "".join(f"    value_{i} = compute(value_{i - 1}, {i})\n" for i in range(1, 400)),
    ),
}

Embed = Callable[[Sequence[str], str], torch.Tensor]  # texts and their side -> embeddings_BD


def difference(module: CodeSearchModule, embed: Embed) -> float:
    """The largest difference of an entry between our embeddings of all probes and those of `embed`."""
    most = 0.0
    for side in SIDES:
        ours_BD = embeddings(module, PROBES[side], side)
        theirs_BD = embed(PROBES[side], side).float().cpu()
        if ours_BD.shape != theirs_BD.shape:
            raise InputError(
                f"the export gives embeddings of shape {tuple(theirs_BD.shape)} for {side} texts, where the model "
                f"gives {tuple(ours_BD.shape)}: nothing was written; this is a mistake of the exporter"
            )
        length = max(1.0, float(ours_BD.norm(dim=1).max()))
        gap = float((ours_BD - theirs_BD).abs().max()) / length
        most = max(most, gap) if math.isfinite(gap) else math.inf  # max() would pass over NaN
    return most


def embeddings(module: CodeSearchModule, texts: Sequence[str], side: str) -> torch.Tensor:
    """embeddings_BD of the module itself, as it ranks with them."""
    make: Mapping[str, Callable] = {"query": module.encoder.queries, "code": module.encoder.codes}
    with torch.inference_mode():
        return module.eval().embed(make[side](list(texts)))


def check(module: CodeSearchModule, embed: Embed, what: str) -> float:
    """The difference; raises InputError where it is above `TOLERANCE`."""
    most = difference(module, embed)
    if not most <= TOLERANCE:
        raise InputError(
            f"{what} gives other embeddings than the model (largest difference {most:.1e}, expected at most "
            f"{TOLERANCE:g}): nothing was written; choose another format"
        )
    return most
