"""Evaluate a finished run again: python -m src.eval run=DIR [corpus=... lang=...]"""

import sys
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from src import cli
from src.config.checks import check
from src.config.targets import from_outside
from src.corpora.base import Corpus, Split
from src.metrics.retrieval import summarize
from src.metrics.summary import language_lines, lexical_baseline, pool_facts, prefixed, print_table
from src.runs.directory import RunDirectory, environment, read_ranks, relative
from src.runs.restore import find_checkpoint, load_checkpoint, with_data_of
from src.training.build import build_data, restore_module


def main(cfg: DictConfig) -> float:
    """Ranks the test split with a run's best checkpoint; on the run's own data it must find the run's own ranks."""
    check(cfg, "eval")
    path = find_checkpoint(cfg.run, cfg.checkpoint)
    checkpoint = load_checkpoint(path)
    trained = from_outside(checkpoint["run_config"], f"checkpoint {path}")
    merged = with_data_of(cfg, trained)
    out = RunDirectory(HydraConfig.get().runtime.output_dir)
    with out.recording():
        out.write_config(merged)
        corpus: Corpus = instantiate(merged.corpus)
        test = corpus.split("test")
        ranks = rank(merged, checkpoint, path, corpus, out)
        lexical = lexical_baseline(test)
        out.write_ranks([pair.id for pair in test.pairs], ranks)
        name = f"{trained.choices.loss}, {trained.choices.backbone}"
        rows = {name: summarize(ranks, test.sizes), "BM25": summarize(lexical, test.sizes)}
        metrics = {
            **prefixed("test", rows[name]),
            "test/candidates": len(test.candidates),
            **prefixed("bm25", rows["BM25"]),
        }
        out.write_metrics(metrics)
        pool = test.candidates.fingerprint
        out.write_json("environment.json", environment(merged.seed, checkpoint=str(path), test_pool_fingerprint=pool))
        facts = {
            **language_lines(rows, test),
            **pool_facts(test),
            "checkpoint": str(relative(path)),
            **reproduction(cfg, path, test, ranks),
        }
        print_table(rows, {}, facts, relative(out.path))
    return metrics["test/mrr"]


def rank(cfg: DictConfig, checkpoint: dict[str, Any], path: Path, corpus: Corpus, out: RunDirectory) -> np.ndarray:
    """ranks_N of the test queries under the checkpoint's weights."""
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    module = restore_module(cfg, checkpoint, path)
    trainer = instantiate(
        cfg.trainer,
        logger=False,
        default_root_dir=str(out.path),
        enable_model_summary=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stdout.isatty(),
    )
    trainer.test(module, datamodule=build_data(cfg, corpus, module.encoder, None), verbose=False)
    assert module.test_ranks is not None  # the test has just run
    return module.test_ranks.cpu().numpy()


def reproduction(cfg: DictConfig, path: Path, test: Split, ranks: np.ndarray) -> dict[str, str]:
    """Compares the ranks with the run's own test_ranks.csv, where that has the same queries."""
    run = Path(cfg.run) if cfg.run is not None else path.parent.parent
    before = read_ranks(run / "test_ranks.csv") if (run / "test_ranks.csv").is_file() else {}
    now = {pair.id: rank for pair, rank in zip(test.pairs, ranks)}
    if before.keys() != now.keys():
        return {}
    if changed := sum(before[query] != now[query] for query in now):
        return {"same run": f"{changed:,} of {len(now):,} ranks differ"}
    return {"same run": f"identical ranks for all {len(now):,} queries"}


if __name__ == "__main__":
    cli.run(main, "eval")
