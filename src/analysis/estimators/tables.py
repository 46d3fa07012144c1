"""An inspection in sentences and tables: the same ones on the terminal and on the page."""

from itertools import combinations

from src.analysis.estimators.false_negatives import CAVEATS, KINDS
from src.analysis.estimators.inspection import FEWEST, Inspection
from src.analysis.estimators.measure import TOP
from src.utils.tables import Table, percent


def headline(inspection: Inspection) -> list[str]:
    """How often there are known false negatives, then which estimator detects each kind best."""
    numbers, negatives = inspection.numbers, inspection.numbers["batch_size"] - 1
    rates = {name: numbers[f"known_per_row/similar/{name}"] for name in inspection.estimators}
    most = max(rates, key=lambda name: rates[name])
    sentences = [
        f"In a random batch a query meets {_rate(numbers['known_per_row/random'])} known false negatives among its "
        f"{negatives:,} negatives, and {percent(numbers['rows_with_known/random'])} of the queries meet any; in "
        f"batches of nearest neighbours it is up to {_rate(rates[most])} ({most})."
    ]
    for kind in inspection.kinds:
        measured = {name: n for name in inspection.estimators if (n := inspection.about(f"{kind}/{name}"))}
        if not measured:
            continue
        best = max(measured, key=lambda name: measured[name]["auc"])
        n = measured.pop(best)
        level = [name for name, other in measured.items() if other["auc_high"] >= n["auc_low"]]
        undecided = f", not distinguishable from {' and '.join(level)}" if level else ""
        verb = "detects them best" if measured else "detects them"
        sentences.append(
            f"{kind.capitalize()}: {best} {verb}{undecided} (AUC {n['auc']:.3f}, {n['auc_low']:.3f} to "
            f"{n['auc_high']:.3f}); the loss then gives them a weight of {n['weight_known']:.2f} on average, ordinary "
            f"negatives {n['weight_ordinary']:.2f}. {CAVEATS[kind]}."
        )
    if not inspection.kinds:
        sentences.append(f"No kind of known false negatives has the {FEWEST} items needed to judge an estimator.")
    return sentences


def tables(inspection: Inspection) -> list[Table]:
    """Base rates, then each kind, then the weights in ordinary batches, then the estimators' agreement."""
    shown = [base_rate_table(inspection), *(kind_table(inspection, kind) for kind in inspection.kinds)]
    shown += [weight_table(inspection, "random"), weight_table(inspection, "similar")]
    return shown if len(inspection.estimators) < 2 else [*shown, agreement_table(inspection)]


def base_rate_table(inspection: Inspection) -> Table:
    numbers = inspection.numbers
    rows = []
    for kind in KINDS:
        planted = f"{numbers[f'rows/{kind}']:,}" if kind in inspection.kinds else "too few"
        rate = _rate(numbers[f"known_per_row/{kind}/random"])
        rows.append((kind, f"{numbers[f'pairs/{kind}']:,}", f"{numbers[f'anchors/{kind}']:,}", rate, planted))
    note = "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())
    if len(inspection.kinds) < len(KINDS):
        note += f". Fewer than {FEWEST} items of a kind are too few to judge an estimator"
    columns = ("", "pairs", "items with one", "per random row", "planted rows")
    return Table("Known false negatives among the training pairs", columns, rows, note + ".")


def kind_table(inspection: Inspection, kind: str) -> Table:
    columns = ["", "AUC", "95%\ninterval", "top 1", "weight", "weight of\nordinary"]
    columns += ["recall at\nw < 0.5", "false\nalarms\na row"]  # these lines keep the table within 80 characters
    rows = []
    for name in inspection.estimators:
        n = inspection.about(f"{kind}/{name}")
        if not n:
            rows.append([name, *["–"] * (len(columns) - 1)])
            continue
        ranked = [f"{n['auc']:.3f}", f"{n['auc_low']:.3f}–{n['auc_high']:.3f}", f"{n['precision@1']:.3f}"]
        weighed = [f"{n['weight_known']:.2f}", f"{n['weight_ordinary']:.2f}"]
        rows.append([name, *ranked, *weighed, percent(n["recall"]), f"{n['false_alarms']:.2f}"])
    title = f"Detecting planted false negatives: {kind}, {inspection.numbers[f'rows/{kind}']:,} rows"
    note = f"{CAVEATS[kind]}."
    if kind == inspection.kinds[0]:
        note += (
            " top 1: how often the most similar negative is a known one; weight: mean weight of the known ones, and of "
            "ordinary negatives; recall: share of the known ones with a weight w below 0.5; false alarms: ordinary "
            "negatives of a row with such a weight, which include false negatives that are not known."
        )
    return Table(title, columns, rows, note)


def weight_table(inspection: Inspection, batching: str) -> Table:
    columns = ("", "known", "mean", "lowest", "row's lowest", "at floor", "effective")
    rows = []
    for name in inspection.estimators:
        n = inspection.about(batching) | inspection.about(f"{batching}/{name}")
        lowest = [f"{n['weight_min']:.2f}", f"{n['weight_row_min']:.2f}"]
        known, mean, effective = _rate(n["known_per_row"]), f"{n['weight_mean']:.3f}", f"{n['effective']:.1f}"
        rows.append([name, known, mean, *lowest, f"{100 * n['at_floor']:.2g}%", effective])
    note = "similar batches: groups of nearest neighbours under the estimator, as batching=similar."
    if batching == "random":
        note = (
            "known: known false negatives of a row; row's lowest: a row's lowest weight, averaged; at floor: negatives "
            "at the loss's lowest weight; effective: "
            f"Kish's effective number of a row's {inspection.numbers['batch_size'] - 1:,} negatives."
        )
    return Table(f"Weights of negatives: {batching} batches", columns, rows, note)


def agreement_table(inspection: Inspection) -> Table:
    """One row per pair of estimators."""
    rows = []
    for a, b in combinations(inspection.estimators, 2):
        rho = inspection.numbers.get(f"spearman/{a}/{b}")
        overlap = inspection.numbers[f"top{TOP}_overlap/{a}/{b}"]
        rows.append((f"{a}, {b}", "–" if rho is None else f"{rho:.2f}", percent(overlap)))
    note = f"Rank correlation of a row's similarities, averaged over rows, and the share of the {TOP} most similar."
    return Table("Agreement between estimators, random batches", ("", "Spearman", f"shared of top {TOP}"), rows, note)


def _rate(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
