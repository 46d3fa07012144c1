"""Measure a finished run's model on other benchmarks: python -m src.benchmark run=DIR [corpus.root=DIR]"""

import sys
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from src import cli
from src.analysis.benchmarks import local, mteb
from src.analysis.benchmarks.annotations import CUT
from src.config.checks import check
from src.config.targets import from_outside
from src.corpora.codesearchnet import Text
from src.runs.directory import RunDirectory, environment, relative
from src.runs.restore import find_checkpoint, load_checkpoint, with_data_of
from src.training.build import restore_module
from src.utils.console import print_facts

WIDTH = 120  # of a table in a file or a pipe


def main(cfg: DictConfig) -> None:
    """Ranks corpora on this disk where corpus.root names some, else mteb's tasks from the hub."""
    check(cfg, "benchmark")
    path = find_checkpoint(cfg.run, cfg.checkpoint)
    checkpoint = load_checkpoint(path)
    machine = OmegaConf.masked_copy(cfg, ["cache", "accelerator"])  # `corpus` here is no corpus to train on
    trained = with_data_of(machine, from_outside(checkpoint["run_config"], f"checkpoint {path}"))
    here = local.tasks(cfg.corpus.root, cfg.languages) if cfg.corpus.root else []
    text: Text = cfg.corpus.text or trained.corpus.get("text") or "tokens"
    there = [] if here else mteb.chosen(cfg.tasks)
    own = RunDirectory(HydraConfig.get().runtime.output_dir)
    with own.recording():
        module = restore_module(trained, checkpoint, path).eval()
        protocol = "local" if here else "mteb"
        own.write_json("environment.json", environment(trained.seed, checkpoint=str(path), protocol=protocol))
        if here:
            results = [local.evaluate(task, module, trained, text) for task in here]
            own.write_json("benchmark.json", {result.task.name: result.flat() for result in results})
            show(results)
        else:
            scores = mteb.evaluate(module, there, own.path / "mteb", trained.data.eval_batch_size)
            own.write_json("benchmark.json", scores)
            print_facts({name: f"{found['main_score']:.4f} (mteb's main score)" for name, found in scores.items()})
        print_facts({"checkpoint": str(relative(path)), "run": str(relative(own.path))})


def show(results: Sequence[local.Result]) -> None:
    """A row per task, and one more table where relevance is graded."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    table = Table(title="every test query against the whole codebase", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for name in ("queries", "candidates", "MRR", "95% interval", "R@1", "R@10", "NDCG@10", "BM25 MRR"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        model, bm25 = result.model, result.bm25
        table.add_row(
            result.task.name,
            f"{model['queries']:,}",
            f"{result.facts['candidates']:,}",
            f"{model['mrr']:.3f}",
            f"{model['mrr_low']:.3f}–{model['mrr_high']:.3f}",
            *(f"{model[key]:.3f}" for key in ("recall@1", "recall@10", "ndcg@10")),
            f"{bm25['mrr']:.3f}",
        )
    console.print(table)
    graded = [result for result in results if result.graded]
    if not graded:
        return
    table = Table(title="graded relevance (annotations.jsonl)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    ways = ("NDCG within", "95% interval", f"@{CUT}", "NDCG all", "95% interval", f"@{CUT}")
    for name in ("queries", "annotations", *ways):
        table.add_column(name, justify="right", no_wrap=True)
    for result in graded:
        for who, numbers in result.graded.items():
            values = []
            for way in ("within", "all"):
                mean, low, high = (numbers[f"{way}/{key}"] for key in ("ndcg", "ndcg_low", "ndcg_high"))
                values += [f"{mean:.3f}", f"{low:.3f}–{high:.3f}", f"{numbers[f'{way}@{CUT}/ndcg']:.3f}"]
            name = result.task.name if who == "model" else f"{result.task.name}, BM25"
            table.add_row(name, f"{numbers['all/queries']:,}", f"{result.facts['annotations']:,}", *values)
    console.print(table)


if __name__ == "__main__":
    cli.run(main, "benchmark")
