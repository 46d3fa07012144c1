"""Near duplicates found through rare sub-tokens are those that comparing every pair would find."""

from __future__ import annotations

import random

from src.utils.near_duplicates import near_duplicate_pairs, near_duplicates
from src.utils.subtokens import subtokens


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


def test_blocks_of_rows_lose_and_repeat_no_pair(monkeypatch) -> None:
    draw = random.Random(11)
    texts = [" ".join(draw.choices("abcdefghijkl", k=draw.randint(0, 9))) for _ in range(97)]
    sets = [set(text.split()) for text in texts]
    expected = [
        (i, j)
        for j in range(97)
        for i in range(j)
        if sets[i] and sets[j] and 10 * len(sets[i] & sets[j]) >= 7 * len(sets[i] | sets[j])
    ]
    for candidates in (1, 500, 2**18):  # a row each, some rows, all rows
        monkeypatch.setattr("src.utils.near_duplicates.CANDIDATES", candidates)
        first, second = near_duplicate_pairs(texts, 0.7)
        assert sorted(zip(first.tolist(), second.tolist())) == sorted(expected)


def test_two_lists_lose_and_repeat_no_pair(monkeypatch) -> None:
    draw = random.Random(13)
    texts, pool = ([" ".join(draw.choices("abcdefghijkl", k=draw.randint(0, 9))) for _ in range(n)] for n in (53, 71))
    sets, others = [set(text.split()) for text in texts], [set(text.split()) for text in pool]
    expected = [
        (i, j)
        for i, a in enumerate(sets)
        for j, b in enumerate(others)
        if a and b and 10 * len(a & b) >= 7 * len(a | b)
    ]
    for candidates in (1, 500, 2**18):
        monkeypatch.setattr("src.utils.near_duplicates.CANDIDATES", candidates)
        first, second = near_duplicate_pairs(texts, 0.7, pool)
        assert sorted(zip(first.tolist(), second.tolist())) == expected
    assert len(near_duplicate_pairs(texts, 0.7, [])[0]) == len(near_duplicate_pairs([], 0.7, pool)[0]) == 0
