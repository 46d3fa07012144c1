"""A weighted bag of hashed word pieces, as a module of sentence-transformers 6 or later.

This file is copied into exported folders, so it imports nothing of the project. It computes the same as
src/backbones/tiny.py, which explains it. Texts are queries where the task is `query`, and codes otherwise.

Shape letters: B texts, L pieces of the longest text, D embedding size, V buckets + 1.
"""

import re
import zlib
from typing import ClassVar

import torch
from sentence_transformers.base.modules import InputModule
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

SUBTOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_]+")
NEAR, RANGES, LONGEST_WORD = 6, (8, 16, 32, 64), 40


class TinyBag(InputModule):
    """The sum of a text's pieces, each times the weights of its side and place."""

    # the base class annotates an instance variable and means one of the class
    config_keys: ClassVar[list[str]] = ["embedding_size", "buckets", "max_query_tokens", "max_code_tokens"]  # type: ignore[misc]

    def __init__(self, embedding_size: int, buckets: int, max_query_tokens: int, max_code_tokens: int) -> None:
        super().__init__()
        self.embedding_size, self.buckets = embedding_size, buckets
        self.max_query_tokens, self.max_code_tokens = max_query_tokens, max_code_tokens
        self.table_VD = nn.Parameter(torch.zeros(buckets + 1, embedding_size))
        self.query_log_weight_V = nn.Parameter(torch.zeros(buckets + 1))
        self.code_log_weight_V = nn.Parameter(torch.zeros(buckets + 1))
        self.place_log_weight = nn.Parameter(torch.zeros(NEAR + len(RANGES) + 1))

    def preprocess(self, inputs, prompt=None, task=None, **kwargs):
        """int64 (B, L) rows of the table, and places: 0 for all of a query, from 1 for a code; padded with 0."""
        texts = self._prepend_prompt(inputs, prompt) if prompt else inputs
        is_query = task == "query"
        most = self.max_query_tokens if is_query else self.max_code_tokens
        pieces = [self.pieces(text, most) for text in texts]
        rows_BL = pad_sequence([torch.tensor(list(place_of)) for place_of in pieces], batch_first=True)
        places_BL = pad_sequence([torch.tensor(list(place_of.values())) for place_of in pieces], batch_first=True)
        return {"rows": rows_BL, "places": places_BL * (not is_query)}

    def pieces(self, text: str, most: int) -> dict[int, int]:
        """Row of each distinct piece -> its place, in order of first occurrence."""
        place_of: dict[int, int] = {}
        for index, word in enumerate([match.lower() for match in SUBTOKEN.findall(text)][:most] or [""]):
            place = index + 1 if index < NEAR else NEAR + 1 + sum(index >= end for end in RANGES)
            edged = f"<{word[:LONGEST_WORD]}>"
            for piece in (edged[1:-1], *(f"#{edged[start : start + 3]}" for start in range(len(edged) - 2))):
                place_of.setdefault(1 + zlib.crc32(piece.encode("utf-8", "surrogatepass")) % self.buckets, place)
        return place_of

    def forward(self, features, **kwargs):
        """Adds `sentence_embedding`, (B, D)."""
        rows_BL, places_BL = features["rows"], features["places"]
        code_BL = self.code_log_weight_V[rows_BL] + self.place_log_weight[(places_BL - 1).clamp(min=0)]
        weight_BL = torch.where(places_BL[:, :1] > 0, code_BL, self.query_log_weight_V[rows_BL]).exp()
        features["sentence_embedding"] = F.embedding_bag(
            rows_BL, self.table_VD, per_sample_weights=weight_BL, mode="sum", padding_idx=0
        )
        return features

    def get_embedding_dimension(self) -> int:
        return self.embedding_size

    def save(self, output_path, *args, safe_serialization=True, **kwargs) -> None:
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(  # type: ignore[override]  # the base class takes the same by position or by name
        cls, model_name_or_path, subfolder="", token=None, cache_folder=None, revision=None, local_files_only=False, **_
    ):
        where = {"subfolder": subfolder, "token": token, "cache_folder": cache_folder, "revision": revision}
        where["local_files_only"] = local_files_only
        config = cls.load_config(model_name_or_path=model_name_or_path, **where)
        return cls.load_torch_weights(model_name_or_path=model_name_or_path, model=cls(**config), **where)
