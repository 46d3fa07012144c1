"""The numbers of a corpus. All shares are of 1; lengths are in words and punctuation marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from src.corpora.base import Corpus, Pair, Split
from src.corpora.dedup import AGAINST, code_tokens, held_out_codes, keep
from src.corpora.harvester.filters import is_english, parses
from src.metrics.retrieval import summarize
from src.metrics.summary import lexical_baseline, prefixed
from src.utils.errors import InputError
from src.utils.near_duplicates import alike_pairs
from src.utils.subtokens import subtokens

SPLITS = ("train", "valid", "test")
QUANTILES = (5, 25, 50, 75, 95)
SHOWN = 5  # examples of a kind


@dataclass(frozen=True)
class Example:
    """A pair, and for a leak the training pair that it is like."""

    pair: Pair
    note: str
    twin: Pair | None = None


@dataclass
class Survey:
    """What was found. `numbers` is flat; a share that could not be measured is not in it."""

    numbers: dict[str, float] = field(default_factory=dict)
    lengths: dict[str, np.ndarray] = field(default_factory=dict)  # "queries/train" -> tokens of each
    ranks: np.ndarray = field(default_factory=lambda: np.empty(0))  # of the test queries under BM25
    examples: dict[str, list[Example]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def survey(corpus: Corpus, source: Corpus, near: float, sample: int, seed: int) -> Survey:
    """All measurements.

    Args:
        source: the same corpus with its codes as they were written, lines and all, for the grammar.
        near: Jaccard index of sub-token sets from which two texts are near duplicates.
        sample: most codes of a split that are parsed.
        seed: of that sample and of the random examples.
    """
    splits = {name: corpus.split(name) for name in SPLITS}
    found = Survey()
    measure_sizes(splits, found)
    measure_duplicates(splits, near, found)
    measure_leaks(splits, near, seed, found)
    measure_language(splits, {name: source.split(name) for name in SPLITS}, sample, seed, found)
    found.ranks = lexical_baseline(splits["test"])
    found.numbers |= prefixed("bm25", summarize(found.ranks))
    choose_examples(splits["test"], seed, found)
    return found


def together(found: Mapping[str, Survey]) -> dict[str, float]:
    """The numbers of several languages, each under its name; and of all: sums of pairs and candidates, means of shares.

    A mean counts every language once, as test/mrr of lang=all does.
    """
    numbers = {f"{language}/{key}": value for language, own in found.items() for key, value in own.numbers.items()}
    for key in set.intersection(*(set(own.numbers) for own in found.values())):
        values = [own.numbers[key] for own in found.values()]
        if key.startswith(("pairs/", "codes/", "candidates/", "dedup/")):
            numbers[key] = sum(values)
        elif key.startswith(("within/", "leaks/", "language/")) or key == "bm25/mrr":
            numbers[key] = float(np.mean(values))
    return numbers


def measure_sizes(splits: Mapping[str, Split], found: Survey) -> None:
    """Pairs, distinct codes, candidates, and the lengths of queries and codes."""
    for name, split in splits.items():
        codes = codes_of(split)
        found.numbers |= {f"pairs/{name}": len(split), f"codes/{name}": len({pair.code_id for pair in split.pairs})}
        if split.codebase is not None:
            found.numbers[f"candidates/{name}"] = len(codes)
        for kind, texts in (("queries", [pair.query for pair in split.pairs]), ("codes", codes)):
            lengths = np.array([len(code_tokens(text)) for text in texts])
            found.lengths[f"{kind}/{name}"] = lengths
            for quantile in QUANTILES:
                found.numbers[f"length/{kind}/{name}/p{quantile}"] = float(np.percentile(lengths, quantile))
            found.numbers[f"length/{kind}/{name}/max"] = int(lengths.max())


def measure_duplicates(splits: Mapping[str, Split], near: float, found: Survey) -> None:
    """Within each split: the share of codes, and of queries, that have a copy or something like them there."""
    for name, split in splits.items():
        queries = [pair.query for pair in split.pairs]
        for kind, texts, key in (("codes", codes_of(split), code_tokens), ("queries", queries, words)):
            counts = Counter(map(key, texts))
            different = list({key(text): text for text in texts}.items())  # copies would make a pair with each other
            alike = {
                different[i][0] for i in np.concatenate(alike_pairs([text for _, text in different], near)).tolist()
            }
            found.numbers[f"within/{kind}/{name}/exact"] = share([counts[key(text)] > 1 for text in texts])
            found.numbers[f"within/{kind}/{name}/near"] = share(
                [counts[key(text)] > 1 or key(text) in alike for text in texts]
            )


def measure_leaks(splits: Mapping[str, Split], near: float, seed: int, found: Survey) -> None:
    """Of valid and test: the share of answers, queries, and both at once that training has seen, exactly or nearly.

    Codes of one identity are the same code, however the splits spell it.
    """
    train = splits["train"].pairs
    codes, queries = [pair.code for pair in train], [pair.query for pair in train]
    code_keys = {key: i for i, pair in enumerate(train) for key in (pair.code_id, code_tokens(pair.code))}
    query_keys = {words(query): i for i, query in enumerate(queries)}
    for name in ("valid", "test"):
        split = splits[name]
        answers = [(pair.code, pair.code_id) for pair in split.pairs]
        candidates = list(zip(split.codebase.codes, split.codebase.ids))
        seen = {}
        for kind, held_out, known, keys in (
            ("answers", [(code, (id, code_tokens(code))) for code, id in answers], codes, code_keys),
            ("candidates", [(code, (id, code_tokens(code))) for code, id in candidates], codes, code_keys),
            ("queries", [(pair.query, (words(pair.query),)) for pair in split.pairs], queries, query_keys),
        ):
            exact = {i: keys[key] for i, (_, own) in enumerate(held_out) for key in own if key in keys}
            first, second = alike_pairs([text for text, _ in held_out], near, known)
            seen[kind] = dict(zip(first.tolist(), second.tolist())) | exact
            found.numbers[f"leaks/{kind}/{name}/exact"] = len(exact) / len(held_out)
            found.numbers[f"leaks/{kind}/{name}/near"] = len(seen[kind]) / len(held_out)
            if (kind, name) == ("answers", "test"):
                found.examples["leaks"] = leak_examples(split.pairs, train, seen[kind], set(exact), seed)
        both = seen["answers"].keys() & seen["queries"].keys()
        found.numbers[f"leaks/answer and query/{name}/near"] = len(both) / len(split)
    for against in AGAINST:
        held_out = held_out_codes([splits["valid"], splits["test"]], against)
        for way, threshold in (("exact", None), ("near", near)):
            found.numbers[f"dedup/{way}/{against}"] = len(keep(train, held_out, threshold)[0])


def measure_language(
    splits: Mapping[str, Split], sources: Mapping[str, Split], sample: int, seed: int, found: Survey
) -> None:
    """Shares of codes that the grammar reads without error, and of queries that are not ASCII, not English."""
    for name, split in splits.items():
        queries = [pair.query for pair in split.pairs]
        found.numbers[f"language/not ascii/{name}"] = share([not query.isascii() for query in queries])
        found.numbers[f"language/not english/{name}"] = share([not is_english(query) for query in queries])
        codes, language = codes_of(sources[name]), split.pairs[0].language
        chosen = np.random.default_rng(seed).permutation(len(codes))[:sample]
        try:
            found.numbers[f"language/parses/{name}"] = share([parses(codes[i], language) for i in chosen])
            found.numbers[f"language/parsed/{name}"] = len(chosen)
        except (InputError, ImportError) as error:
            note = f"Codes were not parsed: {error}"
            found.notes += [note] if note not in found.notes else []


def choose_examples(test: Split, seed: int, found: Survey) -> None:
    """Random test pairs, and those that BM25 answers best and worst."""
    order = np.random.default_rng(seed).permutation(len(test))
    by_rank = order[np.argsort(found.ranks[order], kind="stable")]
    kinds = {"random": order[:SHOWN], "easiest for BM25": by_rank[:SHOWN], "hardest for BM25": by_rank[::-1][:SHOWN]}
    found.examples |= {
        kind: [Example(test.pairs[i], f"BM25 ranks it {found.ranks[i]:g} of {len(test.codebase):,}") for i in chosen]
        for kind, chosen in kinds.items()
    }


def leak_examples(
    pairs: Sequence[Pair], train: Sequence[Pair], twin: Mapping[int, int], exact: set[int], seed: int
) -> list[Example]:
    """Test pairs and what training has of them: those that differ first, for equal ones teach nothing."""
    chosen = sorted(np.random.default_rng(seed).permutation(sorted(twin)).tolist(), key=lambda i: i in exact)
    examples = []
    for i in chosen[:SHOWN]:
        a, b = set(subtokens(pairs[i].code)), set(subtokens(train[twin[i]].code))
        note = "the same code" if i in exact else f"Jaccard index {len(a & b) / len(a | b):.2f}"
        examples.append(Example(pairs[i], note, train[twin[i]]))
    return examples


def codes_of(split: Split) -> list[str]:
    """The candidates of valid and test; of train, each code once however many queries it answers."""
    if split.codebase is not None:
        return list(split.codebase.codes)
    return list({pair.code_id: pair.code for pair in split.pairs}.values())


def share(flags: Sequence[bool]) -> float:
    return float(np.mean(flags))


def words(query: str) -> tuple[str, ...]:
    """Equal for queries that count as the same: their lower-case words, or what they are where they have none."""
    return tuple(subtokens(query)) or (query,)
