"""Near duplicates found through rare sub-tokens are those that comparing every pair would find."""

from __future__ import annotations

import random

from src.corpora.duplicates import near_duplicates
from src.text import subtokens


def test_near_duplicates_agree_with_comparing_every_pair() -> None:
    draw = random.Random(7)
    texts = [" ".join(draw.choices("abcdefghijkl", k=draw.randint(0, 9))) for _ in range(300)]
    for threshold in (0.5, 0.8, 1.0):
        kept: list[set[str]] = []
        dropped = []
        for position, tokens in enumerate(set(subtokens(text)) for text in texts):
            if any(tokens and len(tokens & other) / len(tokens | other) >= threshold for other in kept):
                dropped.append(position)
            else:
                kept.append(tokens)
        assert near_duplicates(texts, threshold) == dropped
        assert 30 < len(dropped) < 270  # both outcomes are common, so the comparison means something


def test_jaccard_of_exactly_the_threshold_counts() -> None:
    assert near_duplicates(["a b c d", "a b c d e"], 0.8) == [1]
    assert near_duplicates(["a b c", "a b c d"], 0.8) == []
