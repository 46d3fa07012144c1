"""Run directories as src.train leaves them, for tests of reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from src.config.targets import CONF
from src.runs.directory import RunDirectory

HISTORY = """epoch,step,val/mrr,val/alignment,val/uniformity,weights/share_clipped,weights/effective_negatives
0,9,,,,0.25,6.5
0,11,0.25,1.5,-2.0,,
1,21,,,,0.125,6.25
1,23,0.5,1.25,-3.0,,
"""


def make_run(
    root: Path,
    loss: str,
    seed: int,
    ranks: Mapping[str, float],
    *,
    pool: str = "abc",
    train: str = "",
    status: Mapping[str, str] | str = "finished",
    corpus: Mapping[str, Any] | str | None = None,
    batching: str = "random",
    masked: bool = False,
    lang: str = "python",
    history: str = HISTORY,
    learning_rate: float = 0.03,
    val_mrr: float | None = 0.5,
    valid: str = "",
) -> Path:
    run = RunDirectory(root / f"{loss}-{batching}-{masked}-{seed}" if batching != "random" else root / f"{loss}-{seed}")
    choices = {"loss": loss, "weights": "bm25", "lang": lang, "backbone": "tiny", "corpus": "stdlib"}
    choices |= {"batching": batching}
    cfg = {"choices": choices, "seed": seed, "negatives": {"mask_duplicates": masked}}
    for group, option in (("loss", loss), ("batching", batching)):
        file = CONF / group / f"{option}.yaml"
        cfg |= {group: yaml.safe_load(file.read_text())} if file.is_file() else {}
    cfg |= {"corpus": dict(corpus) if isinstance(corpus, Mapping) else {"root": corpus}}
    cfg |= {"optimizer": {"learning_rate": learning_rate}, "data": {"batch_size": 8}, "trainer": {"max_epochs": 2}}
    run.write_text("config.yaml", yaml.safe_dump(cfg))
    fingerprints = {"test_pool_fingerprint": pool} | ({"train_fingerprint": train} if train else {})
    fingerprints |= {"valid_fingerprint": valid} if valid else {}
    run.write_json("environment.json", {"corpus": fingerprints, "hardware": {"cpus": 2, "gpus": []}})
    numbers = {"bm25/mrr": 0.25, "bm25/mrr_low": 0.2, "bm25/mrr_high": 0.3, "test/candidates": 7}
    numbers |= {"train/seconds": 10.0 + seed, "train/pairs_per_second": 100.0}
    run.write_metrics(numbers | ({} if val_mrr is None else {"val/mrr": val_mrr}))
    run.write_ranks(list(ranks), list(ranks.values()))
    run.write_json("status.json", {"status": status} if isinstance(status, str) else dict(status))
    if history:
        run.write_text("metrics.csv", history)
    (run.path / "checkpoints").mkdir()
    return run.path
