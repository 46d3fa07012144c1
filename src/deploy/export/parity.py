"""Comparison of an export with the original model: the texts, and the largest difference allowed."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from src.backbones.base import Features
from src.module import CodeSearchModule
from src.utils.errors import InputError

TOLERANCE = 1e-5  # of an embedding's entries, relative to its length where that is above 1
SIDES = ("query", "code")
# Short and long (above every default limit below 8,192), several scripts, code with line breaks.
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


def check(module: CodeSearchModule, embed: Embed, what: str) -> float:
    """The largest difference of an entry between our embeddings of all probes and those of `embed`.

    Raises InputError where it is above `TOLERANCE`.
    """
    gaps = []
    for side in SIDES:
        ours_BD = embeddings(module, PROBES[side], side)
        theirs_BD = embed(PROBES[side], side).float().cpu()
        if ours_BD.shape != theirs_BD.shape:
            raise InputError(
                f"the export gives embeddings of shape {tuple(theirs_BD.shape)} for {side} texts, and the model "
                f"{tuple(ours_BD.shape)}: nothing was written; this is an error of the exporter"
            )
        gaps.append(float((ours_BD - theirs_BD).abs().max()) / max(1.0, float(ours_BD.norm(dim=1).max())))
    most = float(np.max(gaps))  # NaN where one is
    if not most <= TOLERANCE:
        raise InputError(
            f"{what} gives different embeddings from the model's (largest difference {most:.1e}, expected at most "
            f"{TOLERANCE:g}): nothing was written; choose another format"
        )
    return most


def embeddings(module: CodeSearchModule, texts: Sequence[str], side: str) -> torch.Tensor:
    """embeddings_BD of the module itself, as it ranks them."""
    with torch.inference_mode():
        return module.eval().embed(features(module, texts, side))


def features(module: CodeSearchModule, texts: Sequence[str], side: str) -> Features:
    """The features that the encoder makes of the texts."""
    return module.encoder.queries(texts) if side == "query" else module.encoder.codes(texts)
