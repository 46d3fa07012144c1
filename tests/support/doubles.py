"""Small test doubles and data: a toy encoder, a corpus in memory, a corpus on disk."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import nn

from src.backbones.base import Encoder, Features
from src.corpora.base import Codebase, Corpus, Pair, Split
from src.utils.ragged import Ragged
from src.utils.subtokens import subtokens

VERBS = ("open", "close", "parse", "merge", "sort", "count", "send", "encode", "split", "delete", "copy")
NOUNS = ("file", "socket", "header", "list", "word", "packet", "image", "path", "user", "row", "tree", "date", "url")


def sentences(number: int, seed: int = 0) -> list[tuple[str, str]]:
    """(query, code) pairs that share some words, all different."""
    names = [(verb, noun) for verb in VERBS for noun in NOUNS]
    random.Random(seed).shuffle(names)
    return [
        (f"{verb} the {noun} of a record {i}", f"def {verb}_{noun}(x):\n    y = {noun}s[x]\n    return {verb}(y, {i})")
        for i, (verb, noun) in enumerate(islice(cycle(names), number))
    ]


def write_corpus(root: Path, language: str = "python", train: int = 67, valid: int = 11, test: int = 13) -> Path:
    """A corpus in CodeSearchNet's layout under `root`; returns `root`."""
    folder = root / language
    folder.mkdir(parents=True)
    rows = [
        {"docstring": query, "code": code, "url": f"u{i}", "language": language}
        for i, (query, code) in enumerate(sentences(train + valid + test))
    ]
    held_out = rows[train:]
    splits = {"train": rows[:train], "valid": held_out[:valid], "test": held_out[valid:], "codebase": held_out}
    for name, chosen in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chosen), encoding="utf-8")
    return root


class ListCorpus(Corpus):
    """A corpus in memory, from `sentences`."""

    def __init__(self, train: int = 23, valid: int = 5, test: int = 7) -> None:
        pairs = [Pair(query, code, f"q{i}", "python", f"c{i}") for i, (query, code) in enumerate(sentences(43))]
        held_out = pairs[train : train + valid + test]
        # The codebase holds both splits and is not in the order of the queries.
        order = list(reversed(held_out))
        codebase = Codebase([pair.code_id for pair in order], [pair.code for pair in order])
        row = {pair.code_id: i for i, pair in enumerate(order)}

        def split(name: str, chosen: Sequence[Pair]) -> Split:
            return Split(name, chosen, codebase, [row[pair.code_id] for pair in chosen])

        self._made = {
            "train": Split("train", pairs[:train]),
            "valid": split("valid", held_out[:valid]),
            "test": split("test", held_out[valid:]),
        }

    def read(self, name: str) -> Split:
        return self._made[name]


class BagEncoder(Encoder):
    """The mean of hashed sub-token embeddings."""

    def __init__(self, embedding_size: int = 17, buckets: int = 101) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.buckets = buckets
        self.table = nn.Embedding(buckets, embedding_size, padding_idx=0)
        self.norm = nn.LayerNorm(embedding_size)

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        rows = [[1 + zlib.crc32(t.encode()) % (self.buckets - 1) for t in subtokens(text)] or [1] for text in texts]
        return Ragged.of({"ids": rows})

    def features(self, items: Ragged) -> Features:
        return {"ids": items.padded("ids", 0)}

    def forward(self, features: Features) -> torch.Tensor:
        ids_BL = features["ids"]
        real_BL1 = (ids_BL > 0).unsqueeze(-1)
        return self.norm((self.table(ids_BL) * real_BL1).sum(1) / real_BL1.sum(1))
