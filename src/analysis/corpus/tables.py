"""A survey in words and tables: the same ones on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from src.analysis.corpus.measure import QUANTILES, SPLITS, Survey, together
from src.corpora.dedup import AGAINST
from src.utils.tables import Table, percent, print_tables


def headline(found: Survey, near: float) -> list[str]:
    """Whether results on this corpus can be believed, then what it is."""
    n = found.numbers
    answers, queries, both = (n[f"leaks/{kind}/test/near"] for kind in ("answers", "queries", "answer and query"))
    stay, option = n["dedup/near/codebase"], "corpus.dedup=near"
    if not stay:  # the pool holds the training codes
        stay, option = n["dedup/near/answers"], "corpus.dedup=near corpus.against=answers"
    dropped = n["pairs/train"] - stay
    remedy = (
        f"{option} leaves {dropped:,} of {n['pairs/train']:,} training pairs out"
        if dropped
        else f"{option} has nothing to leave out"
    )
    sentences = [
        f"Training has seen {percent(answers)} of the test answers, exactly or nearly (Jaccard index of {near:g} or "
        f"more), {percent(queries)} of the test queries, and both of {percent(both)}; {remedy}.",
        f"BM25 finds the answer at MRR {n['bm25/mrr']:.3f} ({n['bm25/mrr_low']:.3f} to {n['bm25/mrr_high']:.3f}) among "
        f"{n['candidates/test']:,} candidates, and first for {percent(n['bm25/recall@1'])} of the queries.",
    ]
    if "language/parses/train" in n:
        sentences.append(
            f"{percent(n['language/parses/train'])} of the training codes parse, and "
            f"{percent(n['language/not english/train'])} of the training queries do not look English."
        )
    return sentences


def headlines(found: Mapping[str, Survey], near: float) -> list[str]:
    """The headline of one corpus, or the first two sentences about each of several languages."""
    if "" in found:
        return headline(found[""], near)
    return [f"{name}: {' '.join(headline(own, near)[:2])}" for name, own in found.items()]


def tables(found: Survey) -> list[Table]:
    return [sizes(found), lengths(found), leaks(found), dedup(found), within(found), language(found), baseline(found)]


def overview(found: Mapping[str, Survey]) -> list[Table]:
    """Of several languages: a row for each, and one for all of them."""
    numbers = {language: own.numbers for language, own in found.items()} | {"all": together(found)}
    counts = [
        (name, *(f"{n[key]:,}" for key in ("pairs/train", "pairs/valid", "pairs/test", "candidates/test")))
        for name, n in numbers.items()
    ]
    keys = ("leaks/answers/test/exact", "leaks/answers/test/near", "within/codes/train/near")
    shares = [
        (
            name,
            *(percent(n[key]) for key in keys),
            percent(n["language/parses/train"]) if "language/parses/train" in n else "–",
            f"{n['bm25/mrr']:.3f}",
        )
        for name, n in numbers.items()
    ]
    columns = ("", "exactly", "nearly", "train alike", "parse", "BM25 MRR")
    note = (
        "exactly, nearly: test answers that training has seen; train alike: training codes like another; parse: of the "
        "training codes. all: the mean, each language counted once."
    )
    return [
        Table("Languages", ("", "train", "valid", "test", "candidates"), counts),
        Table("Leaks, duplicates and the lexical baseline by language", columns, shares, note),
    ]


def sizes(found: Survey) -> Table:
    rows = []
    for name in SPLITS:
        n = found.numbers
        candidates = f"{n[f'candidates/{name}']:,}" if f"candidates/{name}" in n else "–"
        rows.append((name, f"{n[f'pairs/{name}']:,}", f"{n[f'codes/{name}']:,}", candidates))
    note = "codes: different ones that answer a query; candidates: what each query is ranked against."
    return Table("Sizes", ("", "pairs", "codes", "candidates"), rows, note)


def lengths(found: Survey) -> Table:
    columns = ("", *(f"{q}%" for q in QUANTILES), "longest")
    keys = (*(f"p{q}" for q in QUANTILES), "max")
    rows = [
        (f"{kind}, {name}", *(f"{found.numbers[f'length/{kind}/{name}/{key}']:,.0f}" for key in keys))
        for kind in ("queries", "codes")
        for name in SPLITS
    ]
    return Table("Lengths in words and punctuation marks: quantiles", columns, rows)


def leaks(found: Survey) -> Table:
    rows = []
    for name in ("test", "valid"):
        for kind in ("answers", "queries", "answer and query", "candidates"):
            exact = found.numbers.get(f"leaks/{kind}/{name}/exact")
            near = percent(found.numbers[f"leaks/{kind}/{name}/near"])
            rows.append((f"{name} {kind}", "–" if exact is None else percent(exact), near))
    note = "exactly: the same url or tokens, of queries the same words; nearly: alike sets of sub-tokens, or equal."
    return Table("Leaks: what training has seen of test and valid", ("", "exactly", "nearly"), rows, note)


def dedup(found: Survey) -> Table:
    rows = [
        (f"corpus.dedup={way}", *(f"{found.numbers[f'dedup/{way}/{against}']:,}" for against in AGAINST))
        for way in ("exact", "near")
    ]
    note = "against: what training pairs are compared with, beside each other. Nothing of valid and test is left out."
    title = f"Training pairs that stay of {found.numbers['pairs/train']:,}"
    return Table(title, ("", *(f"against={against}" for against in AGAINST)), rows, note)


def within(found: Survey) -> Table:
    rows = [
        (f"{name} {kind}", *(percent(found.numbers[f"within/{kind}/{name}/{way}"]) for way in ("exact", "near")))
        for kind in ("codes", "queries")
        for name in SPLITS
    ]
    note = "Share that has a copy, or something like it, in the same split; codes of valid and test are all candidates."
    return Table("Duplicates within a split", ("", "exact", "near"), rows, note)


def language(found: Survey) -> Table:
    rows = []
    for name in SPLITS:
        n = found.numbers
        parsed = percent(n[f"language/parses/{name}"]) if f"language/parses/{name}" in n else "–"
        rows.append((name, parsed, *(percent(n[f"language/{kind}/{name}"]) for kind in ("not ascii", "not english"))))
    note = " ".join(["not English: not ASCII, or letters less than half of it.", *found.notes])
    return Table("Language", ("", "codes that parse", "queries not ASCII", "not English"), rows, note)


def baseline(found: Survey) -> Table:
    n = found.numbers
    row = (
        *("BM25", f"{n['bm25/mrr']:.3f}", f"{n['bm25/mrr_low']:.3f}–{n['bm25/mrr_high']:.3f}"),
        *(f"{n[f'bm25/{key}']:.3f}" for key in ("recall@1", "recall@5", "recall@10", "ndcg@10")),
    )
    columns = ("", "MRR", "95% interval", "R@1", "R@5", "R@10", "NDCG@10")
    return Table("Lexical baseline on test", columns, [row])


def print_survey(found: Mapping[str, Survey], near: float, console: Console | None = None) -> None:
    """The tables, then the headline, where a reader of a terminal ends; of several languages only what sums them up."""
    console = console or Console()
    print_tables(overview(found) if len(found) > 1 or "" not in found else tables(found[""]), console)
    console.print()
    for sentence in headlines(found, near):
        console.print(Padding(escape(sentence), (0, 1)), highlight=False)
    console.print()
