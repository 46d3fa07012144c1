"""How hyper-parameters were selected: which recipes were tried, and which was chosen by what."""

from collections.abc import Sequence

from src.report.compare import Comparison, Row
from src.utils.tables import Table, number_of

TESTED_ONCE = (
    "nothing was chosen by its test ranks: each run was tested once, at the epoch that it kept (the best on valid, or "
    "the last with keep=last), "
)


def selection(comparisons: Sequence[Comparison]) -> str:
    """How the runs of a row were selected."""
    if not chosen_rows(comparisons):
        return f"{TESTED_ONCE}and every finished run is in a table"
    return (
        f"{TESTED_ONCE}and of a row whose runs differ in hyper-parameters, the recipe with the best val/mrr is shown, "
        "mean over the seeds that all of the row's recipes have; the tables of recipes name every one"
    )


def budgets(comparisons: Sequence[Comparison]) -> list[str]:
    """Sentences about how many recipes each row could choose from; empty where no row had a choice."""
    if not chosen_rows(comparisons):
        return []
    counts = {row.cell.budget for comparison in comparisons for row in comparison.rows}
    runs = sum(len(recipe.runs) for _, row in chosen_rows(comparisons) for recipe in row.cell.tried)
    sentence = (
        f"Hyper-parameters were chosen by val/mrr, never by test: {number_of(runs, 'run')} of recipes to choose from, "
    )
    if len(counts) == 1:
        return [f"{sentence}{counts.pop():,} recipes for every row."]
    uneven = [c for c in comparisons if len({row.cell.budget for row in c.rows}) > 1]
    sentence += f"{min(counts):,} to {max(counts):,} recipes a row."
    if uneven:
        sentence += f" Budgets differ within {', '.join(c.title for c in uneven)}: a row that tried more is favoured."
    return [sentence]


def tried_table(comparison: Comparison) -> Table | None:
    """Every recipe of the rows that had a choice, the chosen one first; None where no row had one."""
    rows = [row for row in comparison.rows if row.cell.tried]
    if not rows:
        return None
    shown = []
    for row in rows:
        for place, recipe in enumerate(row.cell.tried):
            name = f"{row.cell.name}: {row.cell.budget} recipes" if place == 0 else ""
            seeds = " ".join(map(str, sorted(recipe.seeds)))
            shown.append((name, str(recipe), f"{recipe.val_mrr:.4f}", seeds, "chosen" if place == 0 else ""))
    fixed = [row.cell.name for row in comparison.rows if not row.cell.tried]
    note = "val/mrr: mean over the seeds that all recipes of the row have."
    if unshared := [row.cell.name for row in rows if not row.cell.decided_by]:
        note += f" No seed is common to the recipes of {', '.join(unshared)}: each uses its own, a noisier choice."
    if fixed:
        note += f" One recipe only: {', '.join(fixed)}."
    title = f"Recipes tried: {comparison.title}"
    return Table(title, ("", "hyper-parameters that differ", "val/mrr", "seeds", ""), shown, note)


def chosen_rows(comparisons: Sequence[Comparison]) -> list[tuple[Comparison, Row]]:
    return [(comparison, row) for comparison in comparisons for row in comparison.rows if row.cell.tried]
