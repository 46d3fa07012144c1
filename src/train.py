"""Train a model, test it, and compare it with InfoNCE and BM25: python -m src.train weights=bm25 lang=python"""

if __name__ == "__main__":
    import sys

    from src.runtime.signals import SIGNALS

    with SIGNALS.installed(until_exit=True):
        from src import cli

        # What follows takes seconds to import, and a sweep may have nothing to run.
        cli.run(cli.load_main("src.train"), "train")
    sys.exit()

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, open_dict

from src.corpora.base import Corpus, Split
from src.corpora.dedup import named
from src.datamodule import CodeSearchData
from src.loggers.tables import Examples, results
from src.loggers.wandb import start_server_probe
from src.metrics.retrieval import summarize
from src.metrics.summary import language_lines, lexical_baseline, mrr_difference, pool_facts, prefixed, print_table
from src.module import CodeSearchModule
from src.runs import model_card, resume
from src.runs.directory import RunDirectory, claimed, environment, relative
from src.runs.identity import INFONCE, reads_similarity, run_name
from src.runs.resume import Attempt
from src.runtime import launch
from src.runtime.signals import SIGNALS
from src.training.auto_batch import run_test
from src.training.build import build_estimator, build_loss
from src.training.fit import build_model_and_data, fit
from src.training.guide_models import attach_guide_models
from src.training.setup import dashboards, start_loggers, validate_config
from src.utils.console import print_facts
from src.utils.tables import number_of
from src.weights.base import Estimator


@dataclass(frozen=True)
class TrainingResult:
    """Ranks of the test queries, and the metrics of a training."""

    ranks: np.ndarray
    metrics: Mapping[str, float]  # test/..., val/mrr, train/...


def main(cfg: DictConfig) -> float:
    """Trains, tests, compares, records; returns val/mrr so that a sweeper can maximise it."""
    run = RunDirectory(HydraConfig.get().runtime.output_dir)
    with SIGNALS.installed(), model_card.kept(run), start_or_resume(cfg, run) as attempt:
        validate_config(cfg)
        devices = launch.resolve_devices(cfg)
        run.write_config(cfg)
        if launch.is_rank_zero() and "wandb" in cfg.logger:
            start_server_probe(**cfg.logger.wandb)
        corpus = instantiate(cfg.corpus)
        facts = fingerprints(corpus)
        run.write_json(attempt.environment_file(run.path, facts), environment(cfg.seed, **facts))

        print_plan(cfg, corpus, devices)
        estimator = build_estimator(cfg, build_loss(cfg))
        attach_guide_models(estimator, cfg)
        module, data = build_model_and_data(cfg, corpus, estimator)
        loggers = start_loggers(cfg, run, facts["corpus"]) if launch.is_rank_zero() else []
        trained = fit_and_test(cfg, module, data, run, loggers, attempt.checkpoint)
        lexical = lexical_baseline(corpus.split("test")) if launch.is_rank_zero() else None
        plain = train_infonce(cfg, corpus, estimator, run, attempt) if cfg.compare_infonce else None
        if lexical is None:
            return trained.metrics["val/mrr"]

        metrics = report(cfg, run, corpus.split("test"), trained, lexical, plain)
        (run.path / "infonce" / "checkpoints" / "last.ckpt").unlink(missing_ok=True)  # the comparison is never resumed
        for logger in dashboards(loggers):
            logger.tables["results"] = results(metrics, run_name(cfg))
            logger.finish(metrics)
    return metrics["val/mrr"]


@contextmanager
def start_or_resume(cfg: DictConfig, run: RunDirectory) -> Iterator[Attempt]:
    """Starts a run, or resumes an unfinished one; claims its directory, and records in status.json how it ends."""
    if not launch.is_rank_zero():
        yield Attempt()  # the checkpoint comes from the first
        return
    swept = HydraConfig.get().mode == RunMode.MULTIRUN  # a sweep claims the directories of its jobs
    with nullcontext() if swept else claimed(run.path):
        attempt = resume.attempt(cfg, run.path, swept)
        with (
            run.recording(identity=resume.identity(cfg), attempts=attempt.number),
            SIGNALS.call_on_forced_exit(run.interrupted),
        ):
            yield attempt


def fit_and_test(
    cfg: DictConfig,
    module: CodeSearchModule,
    data: CodeSearchData,
    run: RunDirectory,
    loggers: Sequence[Logger] = (),
    resume_from: Path | None = None,
) -> TrainingResult:
    """One training, and the test of the epoch that is kept."""
    fitted = fit(cfg, module, data, run.path, loggers, resume_from=resume_from)
    if shown := dashboards(loggers):
        module.on_tested = examples = Examples(data.corpus.split("test"), data.pools("test"))
    run_test(fitted.trainer, module, data)
    for logger in shown:
        logger.tables["examples"] = examples.columns, examples.rows
    assert module.test_ranks is not None  # the test has just run
    ranks = module.test_ranks.cpu().numpy()
    run.write_ranks([pair.id for pair in data.corpus.split("test").pairs], ranks)
    metrics = {
        **prefixed("test", summarize(ranks, data.corpus.split("test").sizes)),
        "val/mrr": fitted.val_mrr,
        "train/seconds": fitted.seconds,
        "train/pairs_per_second": fitted.pairs_per_second,
    }
    run.write_metrics(metrics)  # what follows, a comparison above all, can be interrupted
    return TrainingResult(ranks, metrics)


def print_plan(cfg: DictConfig, corpus: Corpus, devices: int) -> None:
    """Prints what is about to run, before minutes are spent on it."""
    names, (train, valid, test) = cfg.choices, (corpus.split(name) for name in ("train", "valid", "test"))
    dropped = corpus.dropped
    weights = f"weights {names.weights}, " if reads_similarity(cfg) else ""
    print_facts(
        {
            "loss": f"{names.loss}, {weights}{names.batching} batches, seed {cfg.seed}",
            "backbone": f"{names.backbone}, {cfg.model.similarity} x {cfg.model.score_scale:g}, "
            f"batches of {cfg.data.batch_size}, {number_of(cfg.trainer.max_epochs, 'epoch')}",
            **({"devices": f"{devices}, {cfg.data.batch_size // devices} pairs each"} if devices > 1 else {}),
            "corpus": f"{names.corpus} {names.lang}, {len(train):,} training pairs, {len(valid):,} valid and "
            f"{len(test):,} test queries, {len(test.candidates):,} candidates",
            **({"left out": f"{named(dropped)} (corpus.dedup)"} if any(dropped.values()) else {}),
        }
    )


def train_infonce(
    cfg: DictConfig, corpus: Corpus, estimator: Estimator | None, run: RunDirectory, attempt: Attempt
) -> TrainingResult:
    """The same training in the same batches with plain InfoNCE, in the run's subdirectory."""
    plain = cfg.copy()
    with open_dict(plain):
        plain.loss = {"_target_": INFONCE}
        plain.choices.loss = "infonce"
    print_facts({"loss": "infonce, the same seed and batches, for comparison (compare_infonce=false leaves it out)"})
    child = RunDirectory(run.path / "infonce")
    return fit_and_test(
        plain, *build_model_and_data(plain, corpus, estimator), child, resume_from=attempt.of(child.path)
    )


def fingerprints(corpus: Corpus) -> dict[str, dict[str, int | str]]:
    """Sizes and fingerprints of the splits: two results are comparable only where these agree."""
    train, valid, test = (corpus.split(name) for name in ("train", "valid", "test"))
    return {
        "corpus": {
            "train_pairs": len(train),
            "valid_queries": len(valid),
            "test_queries": len(test),
            "test_candidates": len(test.candidates),
            **{f"{name}_fingerprint": corpus.split(name).fingerprint for name in ("train", "valid", "test")},
            "test_pool_fingerprint": test.candidates.fingerprint,
        }
    }


def report(
    cfg: DictConfig,
    run: RunDirectory,
    test: Split,
    trained: TrainingResult,
    lexical: np.ndarray,
    plain: TrainingResult | None,
) -> dict[str, float]:
    """Writes metrics.json and prints the table at the end of a run."""
    name = run_name(cfg)
    others = {"BM25": lexical} if plain is None else {"infonce": plain.ranks, "BM25": lexical}
    rows = {name: trained.ranks, **others}
    differences = {other: mrr_difference(trained.ranks, ranks, test.sizes) for other, ranks in others.items()}
    summaries = {row: summarize(ranks, test.sizes) for row, ranks in rows.items()}
    metrics = {
        **trained.metrics,
        "test/candidates": len(test.candidates),
        **{key: value for other in others for key, value in prefixed(other.lower(), summaries[other]).items()},
        **{f"minus_{other.lower()}/{key}": d[key] for other, d in differences.items() for key in d},
    }
    run.write_metrics(metrics)
    per_second = metrics["train/pairs_per_second"]
    speed = f"{per_second:,.0f} pairs/s, " if per_second else ""  # epochs of a single step are not measured
    facts = {
        **language_lines(summaries, test),
        **pool_facts(test),
        "training": f"{metrics['train/seconds']:.0f} s, {speed}best val/mrr {metrics['val/mrr']:.3f}, seed {cfg.seed}",
    }
    print_table(summaries, differences, facts, relative(run.path))
    return metrics
