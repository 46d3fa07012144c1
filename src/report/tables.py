"""A comparison in sentences and tables, for the terminal, the page, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.report.cells import hyperparameters
from src.report.compare import Comparison, Difference, Row
from src.report.runs import LeftOut
from src.report.selection import budgets, chosen_rows, tried_table
from src.report.significance import FLIPS, LEVEL
from src.report.texts import Groups, Texts
from src.utils.tables import Table, markdown_table, number_of

NAMED = 4  # decided differences in the headline
METHOD = (
    "MRR: mean over seeds; its interval and that of the difference: 95%, bootstrap over queries, seeds averaged first. "
    f"p: approximate randomisation, paired by query with the seeds that both have averaged first, {FLIPS:,} flips, "
    "two-sided; Holm: the same, corrected for every comparison of this report. Intervals and p generalise to other "
    "queries, not to other seeds: over seeds is the range of their MRR, seeds above how many are above the baseline "
    "with the same seed."
)


def headline(comparisons: Sequence[Comparison], left_out: Sequence[LeftOut]) -> list[str]:
    """The comparisons that are decided, the choice of hyper-parameters, and the runs that are missing."""
    decided: dict[str, list[tuple[str, str, Difference]]] = {"better": [], "worse": [], "undecided": []}
    for comparison in comparisons:
        for row, difference in comparison.compared:
            decided[difference.verdict].append((row.cell.name, comparison.title, difference))
    count, baseline = sum(map(len, decided.values())), comparisons[0].baseline
    runs = sum(len(row.cell.runs) for comparison in comparisons for row in comparison.rows)
    if not count:
        sentences = [
            f"{number_of(runs, 'run')}, and none to compare with: no run of {baseline} has one of their seeds."
        ]
    else:
        better, worse, undecided = map(len, decided.values())
        sentences = [
            f"Of {count:,} comparisons with {baseline}, {better:,} {'is' if better == 1 else 'are'} better, {worse:,} "
            f"worse and {undecided:,} undecided (p below {LEVEL:g} after Holm's correction, {number_of(runs, 'run')})."
        ]
    for verdict in ("better", "worse"):
        for name, title, d in sorted(decided[verdict], key=lambda named: -abs(named[2].mean))[:NAMED]:
            sentences.append(
                f"{verdict.capitalize()}: {name} on {title}, {d.mean:+.4f} MRR ({d.low:+.4f} to {d.high:+.4f}), "
                f"higher with {d.seeds_better} of {number_of(len(d.per_seed), 'seed')}."
            )
        if len(decided[verdict]) > NAMED:
            sentences.append(f"And {len(decided[verdict]) - NAMED:,} more that are {verdict}: see the tables.")
    sentences += budgets(comparisons)
    if left_out:
        sentences.append(f"{len(left_out):,} {'run' if len(left_out) == 1 else 'runs'} did not finish: see the end.")
    return sentences


def results(comparison: Comparison) -> Table:
    """One row per loss and estimator, and BM25 as the last."""
    difference = [f"minus {comparison.baseline}", "95%", "p", "Holm", ""]
    columns = ["", "MRR", "95%", *difference, "seeds", "over seeds", "seeds above"]
    rows = [_result(row) for row in comparison.rows]
    if chosen_rows([comparison]):
        columns.append("recipes tried")
        rows = [(*shown, str(row.cell.budget)) for shown, row in zip(rows, comparison.rows)]
    bm25 = comparison.run.metrics
    if "bm25/mrr" in bm25:
        interval = f"{bm25['bm25/mrr_low']:.3f} to {bm25['bm25/mrr_high']:.3f}"
        rows.append(("BM25", f"{bm25['bm25/mrr']:.3f}", interval, *[""] * (len(columns) - 3)))
    return Table(f"{comparison.title}: {pool(comparison)}", columns, rows)


def _result(row: Row) -> tuple[str, ...]:
    seeds, d = row.per_seed, row.difference
    spread = f"{seeds.min():.3f} to {seeds.max():.3f}" if len(seeds) > 1 else ""
    shown = (row.cell.name, f"{row.mrr:.3f}", f"{row.low:.3f} to {row.high:.3f}")
    if d is None:
        return (*shown, *[""] * 5, str(len(seeds)), spread, "")
    mark = "" if d.verdict == "undecided" else d.verdict
    difference = (f"{d.mean:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}", p_value(d.p), p_value(d.holm), mark)
    return (*shown, *difference, str(len(seeds)), spread, f"{d.seeds_better} of {len(d.per_seed)}")


def p_value(p: float) -> str:
    return f"{p:.2f}" if p >= 0.095 else f"{p:.3f}" if p >= 0.00095 else f"{p:.0e}".replace("e-0", "e-")


def pool(comparison: Comparison) -> str:
    run = comparison.run
    candidates = int(run.metrics["test/candidates"])
    return f"{len(comparison.queries):,} queries, {candidates:,} candidates, pool {run.pool}"


def overview(comparisons: Sequence[Comparison]) -> Table:
    """Differences of every loss and estimator in every setting; a star marks those below the level after Holm."""
    names = list(dict.fromkeys(row.cell.name for comparison in comparisons for row, _ in comparison.compared))
    rows = []
    for name in names:
        shown = []
        for comparison in comparisons:
            found = next((d for row, d in comparison.compared if row.cell.name == name), None)
            shown.append("–" if found is None else f"{found.mean:+.4f}{'' if found.verdict == 'undecided' else ' *'}")
        rows.append((name, *shown))
    note = f"*: p below {LEVEL:g} after Holm's correction over all comparisons of this report."
    title = f"MRR minus {comparisons[0].baseline}, in every setting"
    return Table(title, ("", *(comparison.title for comparison in comparisons)), rows, note)


def cost(comparison: Comparison) -> Table:
    """Time, speed and settings of the training, and its machines."""
    rows = []
    for row in comparison.rows:
        of, seconds, best = hyperparameters(row.cell.runs[0]), _logged(row, "train/seconds"), _logged(row, "val/mrr")
        speeds = [speed for speed in _logged(row, "train/pairs_per_second") if speed]
        rows.append(
            (
                row.cell.name,
                f"{np.mean(seconds):,.0f}" if seconds else "–",
                f"{min(seconds):,.0f} to {max(seconds):,.0f}" if seconds else "–",
                f"{np.mean(speeds):,.0f}" if speeds else "–",
                str(of.get("trainer.max_epochs", "–")),
                str(of.get("data.batch_size", "–")),
                f"{of['optimizer.learning_rate']:g}" if "optimizer.learning_rate" in of else "–",
                f"{np.mean(best):.3f}" if best else "–",
            )
        )
    columns = ("", "seconds", "over seeds", "pairs/s", "epochs", "batch", "learning rate", "best val/mrr")
    machines = sorted({machine(run.environment) for row in comparison.rows for run in row.cell.runs})
    note = f"Wall-clock time of training alone, on: {'; '.join(machines)}."
    if len(machines) > 1:
        note += " Times on different machines cannot be compared."
    return Table("Training cost", columns, rows, note)


def machine(environment: Mapping[str, Any]) -> str:
    hardware = environment.get("hardware", {})
    if hardware.get("gpus"):
        return ", ".join(hardware["gpus"])
    if "cpus" not in hardware:
        return "not recorded"
    processor, threads = hardware.get("processor", ""), hardware.get("torch_threads")
    return f"{hardware['cpus']} {processor} CPUs" + (f", torch threads: {threads}" if threads else "")


def by_group(comparison: Comparison, title: str, groups: Groups, note: str = "") -> Table:
    """MRR of some of the queries; means over seeds."""
    columns = ("", *(f"{name} ({member_N.sum():,})" for name, member_N in groups.items()))
    rows = [
        (row.cell.name, *(f"{row.values_N[member_N].mean():.3f}" for member_N in groups.values()))
        for row in comparison.rows
    ]
    return Table(title, columns, rows, note)


def text_tables(comparison: Comparison, texts: Texts) -> list[Table]:
    shown = [by_group(comparison, "MRR by length of the query", texts.lengths, "Number of queries in brackets.")]
    if texts.duplicates:
        note = (
            "A near duplicate: Jaccard index of sub-token sets of 0.8 or more with the query's own code, in the "
            "training pairs and among the other candidates."
        )
        shown.append(by_group(comparison, "MRR by duplicates of the answer", texts.duplicates, note))
    return shown


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Tables of results, and the method behind them."""
    tables = [*map(results, comparisons), *filter(None, map(tried_table, comparisons))]
    return "\n\n".join([*map(markdown_table, tables), METHOD, *budgets(comparisons)]) + "\n"


SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {"\\": r"\textbackslash{}", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}"}


def latex(comparisons: Sequence[Comparison]) -> str:
    """One tabular of all settings, for the booktabs package; decided differences in bold."""
    lines = [r"\begin{tabular}{lrrrrrr}", r"\toprule"]
    base = tex(comparisons[0].baseline)
    lines.append(rf" & seeds & MRR & 95\% & minus {base} & 95\% & $p$ (Holm) \\")
    for comparison in comparisons:
        lines += [r"\midrule", rf"\multicolumn{{7}}{{l}}{{{tex(comparison.title)}: {tex(pool(comparison))}}} \\"]
        for row in comparison.rows:
            shown = [tex(row.cell.name), str(len(row.per_seed)), f"{row.mrr:.3f}", f"{row.low:.3f}--{row.high:.3f}"]
            d = row.difference
            if d is None:
                shown += ["", "", ""]
            else:
                mean = f"{d.mean:+.4f}" if d.verdict == "undecided" else rf"\mathbf{{{d.mean:+.4f}}}"
                shown += [f"${mean}$", f"${d.low:+.4f}$ to ${d.high:+.4f}$", p_value(d.holm)]
            lines.append(" & ".join(shown) + r" \\")
    comment = [f"% {sentence}" for sentence in " ".join([METHOD, *budgets(comparisons)]).split(". ")]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *comment]) + "\n"


def tex(text: str) -> str:
    """The text with LaTeX's special characters escaped."""
    return "".join(SPECIAL.get(character, character) for character in text)


def to_csv(comparisons: Sequence[Comparison]) -> str:
    """One line per row with every number in full; empty where there is no number."""
    rows = []
    for comparison in comparisons:
        for row in comparison.rows:
            d, run = row.difference, row.cell.runs[0]
            corpus, lang, backbone = comparison.setting
            rows.append(
                {
                    "corpus": corpus,
                    "lang": lang,
                    "backbone": backbone,
                    "name": row.cell.name,
                    "loss": run.choices["loss"],
                    "weights": run.estimator,
                    "batching": run.choices.get("batching", "random"),
                    "recipes": row.cell.budget,
                    "recipe": str(row.cell.tried[0]) if row.cell.tried else "",
                    "seeds": " ".join(map(str, row.cell.seeds)),
                    "queries": len(comparison.queries),
                    "candidates": int(run.metrics["test/candidates"]),
                    "pool": run.pool,
                    "training_pairs": run.training_data,
                    "mrr": row.mrr,
                    "mrr_low": row.low,
                    "mrr_high": row.high,
                    "mrr_of_seeds": " ".join(f"{value:.6f}" for value in row.per_seed),
                    "minus": comparison.baseline if d else "",
                    "mean": d.mean if d else "",
                    "low": d.low if d else "",
                    "high": d.high if d else "",
                    "p": d.p if d else "",
                    "holm": d.holm if d else "",
                    "mean_of_seeds": " ".join(f"{value:+.6f}" for value in d.per_seed.values()) if d else "",
                    "verdict": d.verdict if d else "",
                    "val_mrr": _mean(row, "val/mrr"),
                    "train_seconds": _mean(row, "train/seconds"),
                }
            )
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _logged(row: Row, key: str) -> list[float]:
    """The metric of each seed that has it."""
    return [run.metrics[key] for run in row.cell.runs if key in run.metrics]


def _mean(row: Row, key: str) -> float | str:
    return float(np.mean(values)) if (values := _logged(row, key)) else ""
