"""The default backbone: a weighted bag of hashed sub-tokens and trigrams that trains from scratch in seconds on a CPU.

Shape letters: B texts, L pieces of the longest text, D embedding size, V buckets + 1.
"""

import functools
import math
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from src.backbones.base import Encoder, Features
from src.config.types import Count, Dropout
from src.corpora.base import Pair
from src.utils.ragged import Ragged
from src.utils.subtokens import subtokens

PADDING = 0  # row 0 of the table; pieces are hashed to rows 1 to buckets
NEAR = 6  # the first sub-tokens of a code, which hold the function's name, have one weight each
RANGES = (8, 16, 32, 64)  # later ones share a weight up to the 8th, the 16th, ..., and one after the 64th
NAME_WEIGHT = 2.0  # initial weight of the first sub-tokens; that of the others is 1
LONGEST_WORD = 40  # characters; data in code can be a single word of megabytes


class TinyEncoder(Encoder):
    """A text is the weighted sum of the embeddings of its distinct pieces: sub-tokens and their character trigrams.

        embedding = sum over pieces p of  a_side(p) b(position of p) E(p)

    E is one table for queries and codes. a_query starts at the IDF of the training queries and a_code at 1, so that
    the cosine of the untrained encoder is close to that of a TF-IDF model: random rows of E are nearly orthogonal. b
    weights the position of a piece's first occurrence in a code (1 in a query). Training changes all of them.

    Trigrams of `<word>` make "parsing" similar to "parses" and "getline" to "line", even if training never saw them
    (fastText: Bojanowski et al., 2017). Pieces are hashed to rows (Weinberger et al., 2009), so there is no vocabulary
    to learn or to store, and one encoder serves every language.

    Args:
        embedding_size: number of dimensions, D; in more of them, unrelated pieces are easier to distinguish.
        buckets: number of rows that the pieces are hashed to. A larger corpus has more pieces to distinguish.
        max_query_tokens: number of sub-tokens after which a query is truncated.
        max_code_tokens: number of sub-tokens after which a code is truncated.
        dropout: share of a text's pieces that are dropped in training.
    """

    padding_is_costly = False

    def __init__(
        self,
        embedding_size: Count = 1024,
        buckets: Count = 8192,
        max_query_tokens: Count = 64,
        max_code_tokens: Count = 256,
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.buckets = buckets
        self.max_query_tokens, self.max_code_tokens = max_query_tokens, max_code_tokens
        self.dropout = dropout
        # Entries of variance 1, not 1 / D, since table and log weights share one learning rate.
        self.table_VD = nn.Parameter(torch.randn(buckets + 1, embedding_size))
        self.query_log_weight_V = nn.Parameter(torch.zeros(buckets + 1))
        self.code_log_weight_V = nn.Parameter(torch.zeros(buckets + 1))
        place_log_weight = torch.zeros(NEAR + len(RANGES) + 1)
        place_log_weight[:NEAR] = math.log(NAME_WEIGHT)
        self.place_log_weight = nn.Parameter(place_log_weight)

    def fit(self, pairs: Sequence[Pair]) -> None:
        """Starts the queries' weights at the IDF of BM25, log(1 + (N - n + 0.5) / (n + 0.5)); n of N hold the piece."""
        held_V = torch.zeros(self.buckets + 1)
        for pair in pairs:
            held_V[list(self._pieces(pair.query, self.max_query_tokens))] += 1
        idf_V = torch.log1p((len(pairs) - held_V + 0.5) / (held_V + 0.5))
        with torch.no_grad():
            self.query_log_weight_V.copy_(idf_V.log())

    def tokenise(self, texts: Sequence[str], side: str) -> Ragged:
        """`rows` and `places`, which are positions: from 1 for the pieces of a code, 0 for all pieces of a query."""
        if side == "query":
            pieces = [dict.fromkeys(self._pieces(text, self.max_query_tokens), 0) for text in texts]
        else:
            pieces = [self._pieces(text, self.max_code_tokens) for text in texts]
        return Ragged.of({"rows": list(map(list, pieces)), "places": [list(text.values()) for text in pieces]})

    def tokenization_settings(self, side: str) -> Mapping[str, Any]:
        """The number of buckets and the side's maximum length."""
        longest = self.max_query_tokens if side == "query" else self.max_code_tokens
        return {"buckets": self.buckets, "longest": longest}

    def features(self, items: Ragged) -> Features:
        """`rows` and `places`, both int64 (B, L) and padded with 0."""
        return {"rows": items.padded("rows", PADDING), "places": items.padded("places", 0)}

    def _pieces(self, text: str, max_tokens: int) -> dict[int, int]:
        """Row of each distinct piece -> its position, from 1, in order of first occurrence."""
        position_of: dict[int, int] = {}
        # A text without words has one piece, the empty word: a zero embedding would tie with everything.
        words = subtokens(text)[:max_tokens] or [""]
        for word, position in zip(words, chain(POSITIONS, repeat(POSITIONS[-1]))):
            for row in rows_of(word, self.buckets):
                position_of.setdefault(row, position)
        return position_of

    def forward(self, features: Features) -> torch.Tensor:
        rows_BL, position_BL = features["rows"], features["places"]
        code_log_weight_BL = self.code_log_weight_V[rows_BL] + self.place_log_weight[(position_BL - 1).clamp(min=0)]
        is_code_B1 = position_BL[:, :1] > 0  # every text has a piece, so the first column has no padding
        log_weight_BL = torch.where(is_code_B1, code_log_weight_BL, self.query_log_weight_V[rows_BL])
        weight_BL = F.dropout(log_weight_BL.exp(), self.dropout or 0.0, self.training)
        return F.embedding_bag(rows_BL, self.table_VD, per_sample_weights=weight_BL, mode="sum", padding_idx=PADDING)


# Position of each sub-token of a code: 1 to NEAR, then one per range; the last one is that of all later sub-tokens.
POSITIONS = list(range(1, NEAR + 1))
POSITIONS += [NEAR + 1 + sum(index >= end for end in RANGES) for index in range(NEAR, RANGES[-1] + 1)]


@functools.lru_cache(maxsize=2**16)  # words repeat, and hashing trigrams takes most of the time
def rows_of(word: str, buckets: int) -> tuple[int, ...]:
    """Rows of the word and of the trigrams of `<word>`. CRC-32 is the same in every process, unlike hash()."""
    word = word[:LONGEST_WORD]
    edged = f"<{word}>"
    # The mark distinguishes a word of three letters from the same letters inside another word.
    pieces = [word, *(f"#{edged[start : start + 3]}" for start in range(len(edged) - 2))]
    return tuple(1 + zlib.crc32(piece.encode("utf-8", "surrogatepass")) % buckets for piece in pieces)
