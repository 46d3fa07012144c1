"""The measurements of a corpus. Shares are from 0 to 1; lengths are in words and punctuation marks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from src.corpora.base import Corpus, Pair, Split
from src.corpora.dedup import AGAINST, code_tokens, held_out_codes, keep
from src.corpora.harvester.filters import is_english, parses
from src.metrics.retrieval import summarize
from src.metrics.summary import lexical_baseline, prefixed
from src.utils.errors import InputError
from src.utils.near_duplicates import near_duplicate_pairs
from src.utils.subtokens import subtokens

SPLITS = ("train", "valid", "test")
QUANTILES = (5, 25, 50, 75, 95)
SHOWN = 5  # examples of a kind


@dataclass(frozen=True)
class Example:
    """A pair, and for a leak the training pair that resembles it."""

    pair: Pair
    note: str
    twin: Pair | None = None


@dataclass
class Survey:
    """The measurements of one corpus. `numbers` is flat; a share that could not be measured is missing."""

    numbers: dict[str, float] = field(default_factory=dict)
    lengths: dict[str, np.ndarray] = field(default_factory=dict)  # "queries/train" -> tokens of each
    ranks: np.ndarray = field(default_factory=lambda: np.empty(0))  # of the test queries under BM25
    examples: dict[str, list[Example]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def survey(corpus: Corpus, source: Corpus, near: float, sample: int, seed: int) -> Survey:
    """All measurements.

    Args:
        source: the same corpus with its codes as they were written, lines and all, for the grammar.
        near: Jaccard index of sub-token sets from which two texts count as near duplicates.
        sample: largest number of codes of a split that are parsed.
        seed: of that sample and of the random examples.
    """
    splits = {name: corpus.split(name) for name in SPLITS}
    result = Survey()
    measure_sizes(splits, result)
    measure_duplicates(splits, near, result)
    measure_leaks(splits, near, seed, result)
    measure_language(splits, {name: source.split(name) for name in SPLITS}, sample, seed, result)
    result.ranks = lexical_baseline(splits["test"])
    result.numbers |= prefixed("bm25", summarize(result.ranks))
    choose_examples(splits["test"], seed, result)
    return result


def combined(surveys: Mapping[str, Survey]) -> dict[str, float]:
    """The numbers of several languages, each under its name; and over all: sums of counts, means of shares.

    A mean weighs every language the same, as test/mrr of lang=all does.
    """
    numbers: dict[str, float] = {}
    for language, survey in surveys.items():
        numbers |= prefixed(language, survey.numbers)
    for key in set.intersection(*(set(survey.numbers) for survey in surveys.values())):
        values = [survey.numbers[key] for survey in surveys.values()]
        if key.startswith(("pairs/", "codes/", "candidates/", "dedup/")):
            numbers[key] = sum(values)
        elif key.startswith(("within/", "leaks/", "language/")) or key == "bm25/mrr":
            numbers[key] = float(np.mean(values))
    return numbers


def measure_sizes(splits: Mapping[str, Split], result: Survey) -> None:
    """Pairs, distinct codes, candidates, and the lengths of queries and codes."""
    for name, split in splits.items():
        codes = codes_of(split)
        result.numbers |= {f"pairs/{name}": len(split), f"codes/{name}": len({pair.code_id for pair in split.pairs})}
        if split.codebase is not None:
            result.numbers[f"candidates/{name}"] = len(codes)
        for kind, texts in (("queries", [pair.query for pair in split.pairs]), ("codes", codes)):
            lengths = np.array([len(code_tokens(text)) for text in texts])
            result.lengths[f"{kind}/{name}"] = lengths
            for quantile in QUANTILES:
                result.numbers[f"length/{kind}/{name}/p{quantile}"] = float(np.percentile(lengths, quantile))
            result.numbers[f"length/{kind}/{name}/max"] = int(lengths.max())


def measure_duplicates(splits: Mapping[str, Split], near: float, result: Survey) -> None:
    """Within each split: the share of codes, and of queries, that have an exact or near duplicate there."""
    for name, split in splits.items():
        queries = [pair.query for pair in split.pairs]
        for kind, texts, key_of in (("codes", codes_of(split), code_tokens), ("queries", queries, words)):
            keys = [key_of(text) for text in texts]
            counts, different = Counter(keys), dict(zip(keys, texts))  # without copies, which would all pair up
            distinct = list(different)
            similar = {distinct[i] for pair in near_duplicate_pairs(list(different.values()), near) for i in pair}
            result.numbers[f"within/{kind}/{name}/exact"] = share([counts[key] > 1 for key in keys])
            result.numbers[f"within/{kind}/{name}/near"] = share([counts[key] > 1 or key in similar for key in keys])


def measure_leaks(splits: Mapping[str, Split], near: float, seed: int, result: Survey) -> None:
    """Of valid and test: the share of answers, of queries, and of both at once that training holds, exactly or nearly.

    Codes with the same id are the same code, even where splits differ in how they write it.
    """
    train = splits["train"].pairs
    codes, queries = [pair.code for pair in train], [pair.query for pair in train]
    code_keys: dict[Any, int] = {
        key: i for i, pair in enumerate(train) for key in (pair.code_id, code_tokens(pair.code))
    }
    query_keys: dict[Any, int] = {words(query): i for i, query in enumerate(queries)}
    for name in ("valid", "test"):
        split = splits[name]
        answers = [(pair.code, pair.code_id) for pair in split.pairs]
        candidates = list(zip(split.candidates.codes, split.candidates.ids))
        seen: dict[str, dict[int, int]] = {}
        for kind, held_out, known, keys in (
            ("answers", [(code, (id, code_tokens(code))) for code, id in answers], codes, code_keys),
            ("candidates", [(code, (id, code_tokens(code))) for code, id in candidates], codes, code_keys),
            ("queries", [(pair.query, (words(pair.query),)) for pair in split.pairs], queries, query_keys),
        ):
            exact = {i: keys[key] for i, (_, own) in enumerate(held_out) for key in own if key in keys}
            first, second = near_duplicate_pairs([text for text, _ in held_out], near, known)
            seen[kind] = dict(zip(first.tolist(), second.tolist())) | exact
            result.numbers[f"leaks/{kind}/{name}/exact"] = len(exact) / len(held_out)
            result.numbers[f"leaks/{kind}/{name}/near"] = len(seen[kind]) / len(held_out)
            if (kind, name) == ("answers", "test"):
                result.examples["leaks"] = leak_examples(split.pairs, train, seen[kind], set(exact), seed)
        both = seen["answers"].keys() & seen["queries"].keys()
        result.numbers[f"leaks/answer and query/{name}/near"] = len(both) / len(split)
    for against in AGAINST:
        held_out_pool = held_out_codes([splits["valid"], splits["test"]], against)
        for way, threshold in (("exact", None), ("near", near)):
            result.numbers[f"dedup/{way}/{against}"] = len(keep(train, held_out_pool, threshold)[0])


def measure_language(
    splits: Mapping[str, Split], sources: Mapping[str, Split], sample: int, seed: int, result: Survey
) -> None:
    """Shares of codes that parse without error, and of queries that are not ASCII or not English."""
    for name, split in splits.items():
        queries = [pair.query for pair in split.pairs]
        result.numbers[f"language/not ascii/{name}"] = share([not query.isascii() for query in queries])
        result.numbers[f"language/not english/{name}"] = share([not is_english(query) for query in queries])
        codes, language = codes_of(sources[name]), split.pairs[0].language
        chosen = np.random.default_rng(seed).permutation(len(codes))[:sample]
        try:
            result.numbers[f"language/parses/{name}"] = share([parses(codes[i], language) for i in chosen])
            result.numbers[f"language/parsed/{name}"] = len(chosen)
        except (InputError, ImportError) as error:
            result.notes = [f"Codes were not parsed: {error}"]  # for the same reason in every split


def choose_examples(test: Split, seed: int, result: Survey) -> None:
    """Random test pairs, and those whose answer BM25 ranks best and worst."""
    order = np.random.default_rng(seed).permutation(len(test))
    by_rank = order[np.argsort(result.ranks[order], kind="stable")]
    kinds = {"random": order[:SHOWN], "easiest for BM25": by_rank[:SHOWN], "hardest for BM25": by_rank[::-1][:SHOWN]}
    result.examples |= {
        kind: [Example(test.pairs[i], f"BM25 ranks it {result.ranks[i]:g} of {len(test.candidates):,}") for i in chosen]
        for kind, chosen in kinds.items()
    }


def leak_examples(
    pairs: Sequence[Pair], train: Sequence[Pair], twin: Mapping[int, int], exact: set[int], seed: int
) -> list[Example]:
    """Test pairs with the training pairs that resemble them; near duplicates first, as copies teach nothing."""
    chosen = sorted(np.random.default_rng(seed).permutation(sorted(twin)).tolist(), key=lambda i: i in exact)
    examples = []
    for i in chosen[:SHOWN]:
        a, b = set(subtokens(pairs[i].code)), set(subtokens(train[twin[i]].code))
        note = "the same code" if i in exact else f"Jaccard index {len(a & b) / len(a | b):.2f}"
        examples.append(Example(pairs[i], note, train[twin[i]]))
    return examples


def codes_of(split: Split) -> list[str]:
    """The candidates of valid and test; of train, every code once, whatever the number of its queries."""
    if split.codebase is not None:
        return list(split.codebase.codes)
    return list({pair.code_id: pair.code for pair in split.pairs}.values())


def share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags))


def words(query: str) -> tuple[str, ...]:
    """The same for queries that count as equal: their lower-case sub-tokens, or the query itself if it has none."""
    return tuple(subtokens(query)) or (query,)
