"""Make a W&B workspace and report of a project's runs: python -m src.dashboard project=soft-infonce"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import wandb
from omegaconf import DictConfig

from src import cli
from src.config.checks import check
from src.loggers.server_probe import ServerProbe, has_key
from src.loggers.wandb import STEP
from src.utils.console import print_facts
from src.utils.errors import InputError, first_line


@dataclass(frozen=True)
class Panel:
    """A panel of a W&B workspace or report.

    Args:
        kind: `bar` and `scatter` read summaries, `line` reads histories, `table` shows a table.
        title: above the plot.
        keys: what is drawn; of a scatter plot x and y.
        by: the key of the configuration that bars and lines are averaged over.
    """

    kind: str
    title: str
    keys: tuple[str, ...]
    by: str | None = None


PANELS: dict[str, tuple[Panel, ...]] = {
    "Results": (
        Panel("bar", "Test MRR by loss", ("test/mrr",), by="loss"),
        Panel("bar", "Test MRR by estimator", ("test/mrr",), by="weights"),
        Panel("bar", "Test MRR minus BM25", ("minus_bm25/mrr",), by="loss"),
        Panel("scatter", "Valid against test MRR", ("val/mrr.max", "test/mrr")),
        Panel("scatter", "Training cost against test MRR", ("train/seconds", "test/mrr")),
        Panel("table", "Results with intervals", ("results",)),
        Panel("table", "Test queries and their best codes", ("examples",)),
    ),
    "Learning": (
        Panel("line", "Valid MRR", ("val/mrr",), by="loss"),
        Panel("line", "Training loss", ("train/loss",), by="loss"),
        Panel("line", "Learning rate", ("train/learning_rate",)),
        Panel("line", "Pairs per second", ("train/pairs_per_second",)),
    ),
    "Weights of the negatives": (
        Panel("line", "Share of clipped weights", ("weights/share_clipped",), by="weights"),
        Panel("line", "Effective negatives", ("weights/effective_negatives",), by="weights"),
        Panel("line", "Least weight", ("weights/min",), by="weights"),
    ),
    "Representations": (
        Panel("line", "Alignment", ("val/alignment",), by="loss"),
        Panel("line", "Uniformity", ("val/uniformity",), by="loss"),
        Panel("scatter", "Alignment against uniformity", ("val/alignment", "val/uniformity")),
    ),
}
# Columns of the table of runs, after the name; runs are sorted by the first one.
SUMMARIES = ("val/mrr.max", "test/mrr", "minus_infonce/mrr", "minus_bm25/mrr")
CONFIG_KEYS = ("loss", "weights", "corpus", "lang", "backbone", "seed")
COLUMNS = [f"summary:{key}" for key in SUMMARIES] + [f"config:{key}.value" for key in CONFIG_KEYS]
INTRODUCTION = (
    "Every query is ranked against the whole codebase. Runs are sorted by val/mrr, which also chose their epoch; "
    "test is shown, never chosen by. Bars and lines are means over runs of a loss or an estimator, whatever their "
    "corpus: filter before you compare. Paired tests over queries are in the page of python -m src.report."
)


def main(cfg: DictConfig) -> None:
    """Makes both, and prints where they are."""
    check(cfg, "dashboard")
    plots, spaces, expressions = libraries()
    entity = entity_of(cfg)
    with without_log_lines():
        space = workspace(cfg.project, entity, cfg.name, plots, spaces, expressions)
        text = report(cfg.project, entity, cfg.name, plots)
        try:
            space.save()
            text.save()
        except Exception as error:
            raise InputError(
                f"W&B refused the views of {entity}/{cfg.project} ({first_line(error)}): does it hold a run?"
            ) from error
    print_facts({"workspace": space.url, "report": text.url})


def libraries() -> tuple[Any, Any, Any]:
    """wandb-workspaces, which is an extra."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of pydantic, about the library's own validators
            import wandb_workspaces.reports.v2 as plots
            import wandb_workspaces.workspaces as spaces
            from wandb_workspaces import expr
    except ImportError as error:
        raise InputError("the dashboard needs wandb-workspaces, found none: pip install -e '.[dashboard]'") from error
    return plots, spaces, expr


def entity_of(cfg: DictConfig) -> str:
    """The user or team whose project it is. Raises InputError without a key or a server."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        raise InputError(f"the dashboard lives on W&B's server, found WANDB_MODE={os.environ['WANDB_MODE']}: unset it")
    os.environ.setdefault("WANDB_SILENT", "true")
    if not has_key():
        raise InputError("the dashboard lives on W&B's server, found no key: wandb login, or set WANDB_API_KEY")
    if why := ServerProbe(cfg.timeout).unavailable_reason():
        raise InputError(f"the dashboard lives on W&B's server: {why}")
    try:
        return str(cfg.entity or wandb.Api(timeout=cfg.timeout).default_entity)
    except Exception as error:
        raise InputError("W&B does not accept the key: wandb login --relogin") from error


def workspace(project: str, entity: str, name: str, plots: Any, spaces: Any, expressions: Any) -> Any:
    """All panels over all runs of the project, grouped as they were run, the best on valid first."""
    sections = [
        spaces.Section(name=title, panels=[wandb_panel(panel, plots) for panel in panels], is_open=True)
        for title, panels in PANELS.items()
    ]
    return spaces.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=sections,
        settings=spaces.WorkspaceSettings(x_axis=STEP, max_runs=50, group_by_prefix="first"),
        runset_settings=spaces.RunsetSettings(
            groupby=[expressions.Metric("Group"), expressions.Metric("JobType")],
            order=[expressions.Ordering(expressions.Summary(SUMMARIES[0]), ascending=False)],
            pinned_columns=["run:displayName", *COLUMNS],
        ),
    )


def report(project: str, entity: str, name: str, plots: Any) -> Any:
    """The same panels as a page, a heading for each section."""
    runs = [plots.Runset(entity=entity, project=project, name="Runs", pinned_columns=COLUMNS)]
    blocks = [plots.P(text=INTRODUCTION), plots.TableOfContents()]
    for title, panels in PANELS.items():
        made = [wandb_panel(panel, plots) for panel in panels]
        for i, panel in enumerate(made):  # two in a row of the report's 24 columns
            panel.layout = plots.Layout(x=12 * (i % 2), y=8 * (i // 2), w=12, h=8)
        blocks += [plots.H1(text=title), plots.PanelGrid(runsets=runs, panels=made)]
    return plots.Report(project=project, entity=entity, title=name, blocks=blocks, width="fluid")


def wandb_panel(panel: Panel, plots: Any) -> Any:
    """The panel as an object of the library."""
    over = {"groupby": plots.Config(panel.by), "groupby_aggfunc": "mean"} if panel.by else {}
    if panel.kind == "bar":
        metrics = [plots.SummaryMetric(key) for key in panel.keys]
        return plots.BarPlot(title=panel.title, metrics=metrics, groupby_rangefunc="minmax", **over)
    if panel.kind == "scatter":
        x, y = (plots.SummaryMetric(key) for key in panel.keys)
        return plots.ScatterPlot(title=panel.title, x=x, y=y)
    if panel.kind == "table":
        return plots.WeavePanelSummaryTable(table_name=panel.keys[0])
    area = {"groupby_rangefunc": "minmax"} if over else {}
    return plots.LinePlot(title=panel.title, x=STEP, y=list(panel.keys), **over, **area)


@contextmanager
def without_log_lines() -> Iterator[None]:
    """wandb-workspaces prints where it saved what; the addresses are printed here, once."""
    termlog = wandb.termlog
    wandb.termlog = lambda *_, **__: None
    try:
        yield
    finally:
        wandb.termlog = termlog


if __name__ == "__main__":
    cli.run(main, "dashboard")
