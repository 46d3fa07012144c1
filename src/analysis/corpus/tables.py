"""A survey in sentences and tables: the same ones on the terminal and on the page."""

from collections.abc import Mapping

from src.analysis.corpus.measure import QUANTILES, SPLITS, Survey, combined
from src.corpora.dedup import AGAINST
from src.utils.tables import Table, percent


def headline(survey: Survey, near: float) -> list[str]:
    """Whether results on this corpus can be trusted, then how hard it is."""
    n = survey.numbers
    answers, queries, both = (n[f"leaks/{kind}/test/near"] for kind in ("answers", "queries", "answer and query"))
    kept, option = n["dedup/near/codebase"], "corpus.dedup=near"
    if not kept:  # the pool holds the training codes
        kept, option = n["dedup/near/answers"], "corpus.dedup=near corpus.against=answers"
    dropped = n["pairs/train"] - kept
    what = f"leaves {dropped:,} of {n['pairs/train']:,} training pairs out" if dropped else "has nothing to leave out"
    sentences = [
        f"Training has seen {percent(answers)} of the test answers, exactly or nearly (Jaccard index of {near:g} or "
        f"more), {percent(queries)} of the test queries, and both for {percent(both)} of the pairs; {option} {what}.",
        f"BM25 finds the answer at MRR {n['bm25/mrr']:.3f} ({n['bm25/mrr_low']:.3f} to {n['bm25/mrr_high']:.3f}) among "
        f"{n['candidates/test']:,} candidates, and first for {percent(n['bm25/recall@1'])} of the queries.",
    ]
    if "language/parses/train" in n:
        sentences.append(
            f"{percent(n['language/parses/train'])} of the training codes parse, and "
            f"{percent(n['language/not english/train'])} of the training queries do not look English."
        )
    return sentences


def headlines(surveys: Mapping[str, Survey], near: float) -> list[str]:
    """The headline of one corpus, or the first two sentences about each of several languages."""
    if "" in surveys:
        return headline(surveys[""], near)
    return [f"{name}: {' '.join(headline(survey, near)[:2])}" for name, survey in surveys.items()]


def tables(survey: Survey) -> list[Table]:
    return [make(survey) for make in (sizes, lengths, leaks, dedup, within, language, baseline)]


def overview(surveys: Mapping[str, Survey]) -> list[Table]:
    """Of several languages: a row for each, and one for all of them."""
    counts, shares = [], []
    numbers = {name: survey.numbers for name, survey in surveys.items()} | {"all": combined(surveys)}
    for name, n in numbers.items():
        sizes = [f"{n[key]:,}" for key in ("pairs/train", "pairs/valid", "pairs/test", "candidates/test")]
        counts.append([name, *sizes])
        leaked = [_share(n, f"leaks/answers/test/{way}") for way in ("exact", "near")]
        others = [_share(n, key) for key in ("within/codes/train/near", "language/parses/train")]
        shares.append([name, *leaked, *others, f"{n['bm25/mrr']:.3f}"])
    columns = ("", "exactly", "nearly", "near duplicates", "parse", "BM25 MRR")
    note = (
        "exactly, nearly: test answers that training has seen; near duplicates: training codes that resemble another; "
        "parse: training codes that do. all: the mean, in which each language counts once."
    )
    return [
        Table("Languages", ("", "train", "valid", "test", "candidates"), counts),
        Table("Leaks, duplicates and the lexical baseline by language", columns, shares, note),
    ]


def sizes(survey: Survey) -> Table:
    counts = [[survey.numbers.get(f"{kind}/{name}") for kind in ("pairs", "codes", "candidates")] for name in SPLITS]
    rows = [(name, *("–" if n is None else f"{n:,}" for n in own)) for name, own in zip(SPLITS, counts)]
    note = "codes: distinct ones that answer a query; candidates: the codes that each query is ranked against."
    return Table("Sizes", ("", "pairs", "codes", "candidates"), rows, note)


def lengths(survey: Survey) -> Table:
    columns = ("", *(f"{q}%" for q in QUANTILES), "longest")
    keys = (*(f"p{q}" for q in QUANTILES), "max")
    rows = [
        (f"{kind}, {name}", *(f"{survey.numbers[f'length/{kind}/{name}/{key}']:,.0f}" for key in keys))
        for kind in ("queries", "codes")
        for name in SPLITS
    ]
    return Table("Lengths in words and punctuation marks: quantiles", columns, rows)


def leaks(survey: Survey) -> Table:
    rows = [
        (f"{name} {kind}", *(_share(survey.numbers, f"leaks/{kind}/{name}/{way}") for way in ("exact", "near")))
        for name in ("test", "valid")
        for kind in ("answers", "queries", "answer and query", "candidates")
    ]
    note = "exactly: the same url or tokens, for queries the same words; nearly: equal or similar sets of sub-tokens."
    return Table("Leaks: what training has seen of test and valid", ("", "exactly", "nearly"), rows, note)


def dedup(survey: Survey) -> Table:
    rows = [
        [f"corpus.dedup={way}", *(f"{survey.numbers[f'dedup/{way}/{against}']:,}" for against in AGAINST)]
        for way in ("exact", "near")
    ]
    note = "against: what training pairs are compared with, in addition to each other. valid and test stay as they are."
    title = f"Training pairs left of {survey.numbers['pairs/train']:,}"
    return Table(title, ("", *(f"against={against}" for against in AGAINST)), rows, note)


def within(survey: Survey) -> Table:
    rows = [
        (f"{name} {kind}", *(_share(survey.numbers, f"within/{kind}/{name}/{way}") for way in ("exact", "near")))
        for kind in ("codes", "queries")
        for name in SPLITS
    ]
    note = "Share with an exact or near duplicate in the same split; codes of valid and test are all candidates."
    return Table("Duplicates within a split", ("", "exact", "near"), rows, note)


def language(survey: Survey) -> Table:
    kinds = ("parses", "not ascii", "not english")
    rows = [(name, *(_share(survey.numbers, f"language/{kind}/{name}") for kind in kinds)) for name in SPLITS]
    note = " ".join(["not English: not ASCII, or fewer than half of the characters are letters.", *survey.notes])
    return Table("Language", ("", "codes that parse", "queries not ASCII", "not English"), rows, note)


def baseline(survey: Survey) -> Table:
    n = survey.numbers
    interval = f"{n['bm25/mrr_low']:.3f}–{n['bm25/mrr_high']:.3f}"
    others = [f"{n[f'bm25/{key}']:.3f}" for key in ("recall@1", "recall@5", "recall@10", "ndcg@10")]
    row = ["BM25", f"{n['bm25/mrr']:.3f}", interval, *others]
    columns = ("", "MRR", "95% interval", "R@1", "R@5", "R@10", "NDCG@10")
    return Table("Lexical baseline on test", columns, [row])


def _share(numbers: Mapping[str, float], key: str) -> str:
    return percent(numbers[key]) if key in numbers else "–"
