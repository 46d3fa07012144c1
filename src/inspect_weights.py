"""Measure how well estimators find known false negatives: python -m src.inspect_weights corpus=stdlib"""

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from src import cli
from src.analysis.estimators.false_negatives import known_false_negatives
from src.analysis.estimators.inspection import inspect
from src.analysis.estimators.page import page
from src.analysis.estimators.tables import headline, tables
from src.config.compose import compose_config
from src.config.targets import CONF
from src.losses.base import Loss
from src.runs.directory import RunDirectory, environment, relative
from src.training.guide_models import attach_guide_models
from src.training.setup import dashboards, start_loggers, validate_config
from src.utils.console import as_list, print_facts
from src.utils.errors import InputError, nearest
from src.utils.tables import print_tables
from src.weights.base import Estimator


def main(cfg: DictConfig) -> None:
    """Finds known false negatives, asks each estimator for them, and leaves inspection.json and inspection.html."""
    run = RunDirectory(HydraConfig.get().runtime.output_dir)
    with run.recording():
        validate_config(cfg)
        if cfg.data.batch_size < 4:
            raise InputError(
                f"data.batch_size: expected 4 or more, for the rows that are planted, found {cfg.data.batch_size}"
            )
        run.write_config(cfg)
        estimators = {name: build_estimator(name, cfg) for name in estimator_names(cfg)}
        loss, loss_name = weighted_loss(cfg)

        train = instantiate(cfg.corpus).split("train")
        run.write_json("environment.json", environment(cfg.seed, train_fingerprint=train.fingerprint))
        item_S = np.sort(np.random.default_rng(cfg.seed).permutation(len(train))[: cfg.sample])
        looked_at = [train.pairs[i] for i in item_S]
        known = known_false_negatives(looked_at, cfg.threshold)
        facts = print_plan(cfg, len(train), len(item_S), loss_name)
        for estimator in estimators.values():
            attach_guide_models(estimator, cfg)
            estimator.fit(train.pairs)

        similar = HydraConfig.get().runtime.choices["batching"] == "similar"  # then its keys are the command line's
        neighbours = cfg.batching if similar else compose_config("train", ["batching=similar"]).batching
        found = inspect(cfg, estimators, item_S, known, loss, neighbours)
        run.write_json("inspection.json", dict(sorted(found.numbers.items())))
        run.write_text("inspection.html", page(found, looked_at, facts))
        print_tables(tables(found), headline(found))
        print()
        print_facts({"page": str(relative(run.path / "inspection.html"))})
        if "wandb" in cfg.logger and "pages" in cfg.logger.wandb.artifacts:  # the page and its numbers, as a W&B run
            for logger in dashboards(start_loggers(cfg, run, job_type="inspection")):
                logger.finish(found.numbers)


def estimator_names(cfg: DictConfig) -> list[str]:
    """Names of the estimators that are listed, and of the one that the command line configures."""
    names = as_list(cfg.estimators)
    words = (word.lstrip("+").partition("=")[0] for word in HydraConfig.get().overrides.task)
    if any(word == "weights" or word.startswith("weights.") for word in words):
        names.append(cfg.choices.weights)
    valid = sorted(path.stem for path in (CONF / "weights").glob("*.yaml") if path.stem != "none")
    for name in names:
        if name not in valid:
            found = "none, which has no similarity to inspect" if name == "none" else repr(name)
            hint = "" if name == "none" else nearest(str(name), valid)
            raise InputError(f"estimators: expected options of weights ({', '.join(valid)}), found {found}{hint}")
    if not names:
        raise InputError(f"estimators: expected one or more of {', '.join(valid)}, found an empty list")
    return list(dict.fromkeys(names))


def build_estimator(name: str, cfg: DictConfig) -> Estimator:
    """The estimator, with the keys of the command line where weights= names it, else with its defaults."""
    weights = cfg.weights if name == cfg.choices.weights else compose_config("train", [f"weights={name}"]).weights
    return instantiate(weights)


def weighted_loss(cfg: DictConfig) -> tuple[Loss, str]:
    """The configured loss, or Soft-InfoNCE where that one gives negatives no weights; and its name."""
    loss: Loss = instantiate(cfg.loss)
    if type(loss).negative_weights is not Loss.negative_weights:
        return loss, cfg.choices.loss
    usual = instantiate(compose_config("train", ["loss=soft_infonce"]).loss)
    return usual, f"soft_infonce at its defaults, since {cfg.choices.loss} gives no weights"


def print_plan(cfg: DictConfig, number: int, looked_at: int, loss_name: str) -> dict[str, str]:
    """Prints what is inspected, before minutes are spent on it."""
    names = cfg.choices
    sample = "" if looked_at == number else f", of which a random {looked_at:,} are looked at (fewer neighbours)"
    facts = {
        "corpus": f"{names.corpus} {names.lang}, {number:,} training pairs{sample}",
        "loss": loss_name,
        "batches": f"{min(cfg.data.batch_size, looked_at)} pairs, {cfg.batches} ordinary ones, seed {cfg.seed}",
        "known": f"Jaccard index of {cfg.threshold:g} or more, or equal; up to {cfg.most:,} planted rows of each kind",
    }
    print_facts(facts)
    return facts


if __name__ == "__main__":
    cli.run(main, "inspect_weights")
