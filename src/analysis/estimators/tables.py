"""What was found in words and tables: the same ones on the terminal and on the page."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from src.analysis.estimators.agreement import TOP
from src.analysis.estimators.inspection import FEWEST, Inspection
from src.analysis.estimators.known import CAVEATS, KINDS
from src.utils.tables import Table, percent, print_tables


def headline(found: Inspection) -> list[str]:
    """What was found: how often there is anything to spot, then for each kind who spots it."""
    numbers, negatives = found.numbers, found.numbers["batch_size"] - 1
    met = {name: numbers[f"known_per_row/similar/{name}"] for name in found.estimators}
    most = max(met, key=met.get)
    sentences = [
        f"In a random batch a query meets {_rate(numbers['known_per_row/random'])} known false negatives among its "
        f"{negatives:,} negatives, and {percent(numbers['rows_with_known/random'])} of the queries meet any; in "
        f"batches of nearest neighbours it is up to {_rate(met[most])} ({most})."
    ]
    for kind in found.kinds:
        names = [name for name in found.estimators if f"auc/{kind}/{name}" in numbers]
        if not names:
            continue
        auc = {name: numbers[f"auc/{kind}/{name}"] for name in names}
        best = max(auc, key=auc.get)
        level = [n for n in names if n != best and numbers[f"auc_high/{kind}/{n}"] >= numbers[f"auc_low/{kind}/{best}"]]
        beside = f", not told apart from {' and '.join(level)}" if level else ""
        does = "spots them best" if len(names) > 1 else "spots them"
        sentences.append(
            f"{kind.capitalize()}: {best} {does}{beside} (AUC {auc[best]:.3f}, "
            f"{numbers[f'auc_low/{kind}/{best}']:.3f} to {numbers[f'auc_high/{kind}/{best}']:.3f}); the loss then "
            f"weighs them {numbers[f'weight_known/{kind}/{best}']:.2f} on average, ordinary negatives "
            f"{numbers[f'weight_ordinary/{kind}/{best}']:.2f}. {CAVEATS[kind]}."
        )
    if not found.kinds:
        sentences.append(f"No kind of known false negatives has the {FEWEST} rows that it takes to judge an estimator.")
    return sentences


def tables(found: Inspection) -> list[Table]:
    """Base rates first, then each kind, then what the loss does to ordinary batches, then agreement."""
    shown = [base_rate_table(found), *(kind_table(found, kind) for kind in found.kinds)]
    shown += [weight_table(found, "random"), weight_table(found, "similar")]
    return shown if len(found.estimators) < 2 else [*shown, agreement_table(found)]


def base_rate_table(found: Inspection) -> Table:
    numbers = found.numbers
    rows = []
    for kind in KINDS:
        planted = f"{numbers[f'rows/{kind}']:,}" if kind in found.kinds else "too few"
        rate = _rate(numbers[f"known_per_row/{kind}/random"])
        rows.append((kind, f"{numbers[f'pairs/{kind}']:,}", f"{numbers[f'anchors/{kind}']:,}", rate, planted))
    note = "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())
    if found.too_few:
        note += f". Fewer than {FEWEST} items of a kind are too few to judge by"
    columns = ("", "pairs", "items with one", "per random row", "planted rows")
    return Table("Known false negatives among the training pairs", columns, rows, note + ".")


def kind_table(found: Inspection, kind: str) -> Table:
    columns = ("", "AUC", "95% interval", "top 1", "weight", "others", "found", "lost")
    rows = []
    for name in found.estimators:
        n = {key: found.numbers.get(f"{key}/{kind}/{name}") for key in MEASURED}
        if n["auc"] is None:
            rows.append((name, *["–"] * (len(columns) - 1)))
            continue
        rows.append(
            (
                *(name, f"{n['auc']:.3f}", f"{n['auc_low']:.3f}–{n['auc_high']:.3f}", f"{n['precision@1']:.3f}"),
                *(f"{n['weight_known']:.2f}", f"{n['weight_ordinary']:.2f}"),
                *(percent(n["found"]), f"{n['collateral']:.2f}"),
            )
        )
    return Table(
        f"Spotting planted ones: {kind}, {found.numbers[f'rows/{kind}']:,} rows",
        columns,
        rows,
        f"{CAVEATS[kind]}." + (f" {LEGEND}" if kind == found.kinds[0] else ""),
    )


LEGEND = (
    "top 1: how often the most similar negative is a known one; weight: mean weight of the known ones; others: that of "
    "ordinary negatives; found: known ones with a weight below 0.5; lost: ordinary negatives of a row with a weight "
    "below 0.5, among them false negatives that are not known."
)
MEASURED = ("auc", "auc_low", "auc_high", "precision@1", "weight_known", "weight_ordinary", "found", "collateral")


def weight_table(found: Inspection, batching: str) -> Table:
    columns = ("", "known", "mean", "lowest", "row's low", "at floor", "effective")
    rows = []
    for name in found.estimators:
        n = {key: found.numbers[f"{key}/{batching}/{name}"] for key in WEIGHED}
        known = "known_per_row/random" if batching == "random" else f"known_per_row/similar/{name}"
        rows.append(
            (
                *(name, _rate(found.numbers[known]), f"{n['weight_mean']:.3f}", f"{n['weight_min']:.2f}"),
                *(f"{n['weight_row_min']:.2f}", f"{100 * n['at_floor']:.2g}%", f"{n['effective']:.1f}"),
            )
        )
    which = "random batches" if batching == "random" else "similar batches"
    note = "similar batches: groups of nearest neighbours under the estimator, as batching=similar."
    if batching == "random":
        note = (
            "known: known false negatives that a row meets; row's low: a row's lowest weight, averaged; at floor: "
            "negatives at the loss's lowest weight; effective: "
            f"Kish's effective number of a row's {found.numbers['batch_size'] - 1:,} negatives."
        )
    return Table(f"Weights of negatives: {which}", columns, rows, note)


WEIGHED = ("weight_mean", "weight_min", "weight_row_min", "at_floor", "effective")


def agreement_table(found: Inspection) -> Table:
    """One row per pair of estimators."""
    rows = []
    for i, a in enumerate(found.estimators):
        for b in found.estimators[i + 1 :]:
            rho = found.numbers.get(f"spearman/{a}/{b}")
            overlap = found.numbers[f"top{TOP}_overlap/{a}/{b}"]
            rows.append((f"{a}, {b}", "–" if rho is None else f"{rho:.2f}", percent(overlap)))
    note = (
        "Rank correlation of a row's similarities, averaged over rows, and how many of the 5 most similar are shared."
    )
    return Table("Agreement between estimators, random batches", ("", "Spearman", f"shared of top {TOP}"), rows, note)


def print_found(found: Inspection, console: Console | None = None) -> None:
    """The tables, then the headline, where a reader of a terminal ends."""
    console = console or Console()
    print_tables(tables(found), console)
    console.print()
    for sentence in headline(found):
        console.print(Padding(escape(sentence), (0, 1)), highlight=False)
    console.print()


def _rate(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
