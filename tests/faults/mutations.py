"""python -m tests.faults.mutations [ROW ...]: breaks the program, and expects the row that guards it to lose a fault.

One breakage at a time, against the subset that `make test` runs; exit status 1 if a row noticed nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from src.data.mined_negatives import MinedNegatives
from src.runtime.quiet import quiet_libraries
from tests.faults import row_08_shared_cache as row_8
from tests.faults.harness import outcome, rows

DEFAULT_RNG, COLUMNS = np.random.default_rng, MinedNegatives.columns


def nothing(*arguments: Any, **options: Any) -> None:
    pass


def written_in_place(checkpoint: dict[str, Any], path: Path) -> None:
    """Without a part that is moved into place, and without the previous one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        torch.save(checkpoint, file)


def saved_as_it_is(saving: Any, trainer: Any, position: Any) -> None:
    """With the random numbers and the counters of now."""
    saving._save(trainer, position.epoch, position.batches)


def loaded_with_code(path: Any, **options: Any) -> Any:
    """As before torch 2.6."""
    from torch.serialization import load

    return load(path, map_location="cpu", weights_only=False)


def columns_by_chance(mined: MinedNegatives, *arguments: Any) -> Any:
    """Another draw in every process and every attempt."""
    with mock.patch.object(np.random, "default_rng", return_value=DEFAULT_RNG()):
        return COLUMNS(mined, *arguments)


def interpreting(**options: Any) -> Any:
    from jinja2 import Environment

    return Environment(**{**options, "autoescape": False})


# Said at the beginning of each of row 8's processes, which no patch reaches.
OWN_LOCKS = """
import os, src.utils.disk_cache as disk_cache
theirs = disk_cache._lock
disk_cache._lock = lambda folder: theirs(folder).with_suffix(f".{os.getpid()}")
"""
# Row, what is broken, where, and what stands in its place.
BREAKAGES: tuple[tuple[int, str, str, Callable | object], ...] = (
    (1, "the generators are not restored", "src.training.checkpointing.set_rng_state", nothing),
    (1, "a resumed epoch begins at its first batch", "src.data.samplers.EpochSampler.resume_at", nothing),
    (1, "Lightning's counters are left as they are", "src.training.checkpointing.rewind_progress", nothing),
    (1, "metrics.csv begins anew", "src.runs.metrics_csv.MetricsCSV.resume_at", nothing),
    (
        1,
        "mined columns are drawn without the batch",
        "src.data.mined_negatives.MinedNegatives.columns",
        columns_by_chance,
    ),
    (
        1,
        "the second process has the first one's generators",
        "src.training.checkpointing.gather_objects",
        lambda one, n: [one] * n,
    ),
    (2, "no run is resumed", "src.runs.resume.candidates", lambda wanted: []),
    (2, "files of killed processes are not tidied up", "src.runs.resume.remove_parts", nothing),
    (2, "checkpoints are written in place", "src.runs.checkpoint_file.write", written_in_place),
    (3, "the signal ends the process at once", "src.runtime.signals.SignalWatcher.defer", nothing),
    (3, "nobody listens", "src.runtime.signals.SignalWatcher._install_handlers", nothing),
    (4, "the sum is not checked", "src.runs.checkpoint_file.check", nothing),
    (
        4,
        "cache files are taken as they are",
        "src.utils.disk_cache._damage",
        lambda folder, about: "" if about else "missing",
    ),
    (
        5,
        "a full disk is an error like any other",
        "src.utils.files.explaining_full_disk",
        lambda *_: nullcontext(),
    ),
    (6, "the gradient is not looked at", "src.training.nonfinite.NonFiniteGuard.on_before_optimizer_step", nothing),
    (6, "weights are saved whatever they are", "src.training.checkpointing.check_finite", nothing),
    (7, "pickles are loaded", "torch.load", loaded_with_code),
    (7, "whatever a configuration names is built", "src.config.targets.check_targets", nothing),
    (7, "links in the cache are followed", "src.utils.disk_cache.removed", nothing),
    (7, "pages interpret what they show", "src.pages.Environment", interpreting),
    (8, "each process takes a lock of its own", "tests.faults.row_08_shared_cache.ASKS", OWN_LOCKS + row_8.ASKS),
    (9, "bad lines are left out without end", "src.corpora.jsonl.BadLines.add", nothing),
    (9, "nobody counts them", "src.corpora.jsonl.BadLines.count", nothing),
    (10, "W&B's local log is left out", "src.loggers.wandb.FaultTolerantWandbLogger.log_metrics", nothing),
    (11, "keys and values are not looked at", "src.config.checks.check_keys", nothing),
    (11, "contradictions are not looked for", "src.training.setup.check_training", nothing),
    (11, "the nearest name is not said", "src.config.overrides.nearest", lambda name, valid: ""),
    (11, "the nearest word is not said", "src.config.types.nearest", lambda name, valid: ""),
    (11, "words are Hydra's to understand", "src.cli.check_overrides", lambda words, name: list(words)),
    (11, "what Hydra refuses is not explained", "src.cli.explain_refusal", lambda words, name: ""),
    (11, "any value will do", "src.config.checks.check_value", nothing),
    (
        12,
        "what is saved is what the step that failed left",
        "src.training.checkpointing.SaveLast.save_at",
        saved_as_it_is,
    ),
    (12, "the chunk stays as it was", "src.training.auto_batch.AutoBatch.halve", lambda *_: False),
    (12, "no error is taken for memory's", "src.utils.resource_errors.is_out_of_memory", lambda error: False),
)


def main(arguments: list[str]) -> int:
    asked = {int(argument) for argument in arguments}
    known = {row.number: row for row in rows()}
    quiet_libraries()
    unseen = 0
    for number, what, target, instead in BREAKAGES:
        if number not in known or (asked and number not in asked):
            continue
        with mock.patch(target, instead):
            found = outcome(known[number], full=False)
        unseen += not found.lost
        print(f"row {number:2}  lost {len(found.lost)} of {len(found.faults)}  {what}", flush=True)
    return int(unseen > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
