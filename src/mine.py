"""Mine hard negatives with a finished run's model: python -m src.mine run=DIR [corpus=... lang=...]"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from src import cli
from src.config.checks import check
from src.config.targets import from_outside
from src.corpora.base import Split
from src.data.mined_negatives import write_mined
from src.runs.directory import RunDirectory, environment, relative
from src.runs.restore import find_checkpoint, load_checkpoint, with_data_of
from src.training.build import restore_module
from src.training.encode import embed_texts
from src.training.guide_models import attach_guide_models
from src.training.mining import MiningResult, NegativeFilter, mine
from src.utils.console import print_facts
from src.weights.base import Estimator
from src.weights.none import NoEstimator


def main(cfg: DictConfig) -> None:
    """Embeds the training split, searches it with its own queries, and keeps hard codes that are unlikely answers."""
    check(cfg, "mine")
    chosen = NegativeFilter(cfg.depth, cfg.per_query, cfg.margin, cfg.most_alike)
    path = find_checkpoint(cfg.run, cfg.checkpoint)
    checkpoint = load_checkpoint(path)
    merged = with_data_of(cfg, from_outside(checkpoint["run_config"], f"checkpoint {path}"))
    out = RunDirectory(HydraConfig.get().runtime.output_dir)
    with out.recording():
        out.write_config(merged)
        train: Split = instantiate(merged.corpus).split("train")
        module = restore_module(merged, checkpoint, path)
        estimator = estimator_of(cfg, merged, train)
        queries_ND = embed_texts(module, [pair.query for pair in train.pairs], "query", merged, "queries")
        codes_ND = embed_texts(module, [pair.code for pair in train.pairs], "code", merged, "codes")
        found = mine(train, queries_ND, codes_ND, estimator, chosen)
        target = Path(cfg.out).expanduser() if cfg.out else out.path / "negatives.jsonl"
        write_mined(target, train, enumerate(found.negatives))
        about = {"checkpoint": str(path), "weights": HydraConfig.get().runtime.choices["weights"], "file": str(target)}
        out.write_json("environment.json", environment(merged.seed, train_fingerprint=train.fingerprint, **about))
        out.write_json("summary.json", {**found.summary(chosen), "train": train.fingerprint, **about})
        show(found, chosen, train, relative(target))


def estimator_of(cfg: DictConfig, merged: DictConfig, train: Split) -> Estimator | None:
    """The fitted estimator that recognises other answers; None for weights=none."""
    estimator: Estimator = instantiate(cfg.weights)
    if isinstance(estimator, NoEstimator) or cfg.most_alike is None:
        return None
    attach_guide_models(estimator, merged)
    estimator.fit(train.pairs)
    return estimator


def show(found: MiningResult, chosen: NegativeFilter, train: Split, file: Path) -> None:
    """What was mined, what was dropped and why, one example, and how to train on it."""
    numbers = found.summary(chosen)
    ratio = numbers["hardest/score_ratio_to_positive"]
    hardest = "" if ratio is None else f", the hardest of a query at {ratio:.2f} of its answer's score (median)"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in found.dropped.items())
    facts = {
        "mined": f"{numbers['negatives']:,} negatives of {numbers['queries']:,} queries{hardest}; "
        f"{numbers['queries_without']:,} queries have none",
        "dropped": f"of {found.candidates:,} candidates: {reasons}",
    }
    for query, items in zip(train.pairs, found.negatives):
        if items:
            first = train.pairs[items[0]]
            facts["such as"] = f"{_line(query.query)} -> {_line(first.code)} (the answer to: {_line(first.query)})"
            break
    facts["train with"] = f"python -m src.train negatives.mined={file}"
    print_facts(facts)


def _line(text: str, width: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


if __name__ == "__main__":
    cli.run(main, "mine")
