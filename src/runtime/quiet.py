"""Advice of other libraries that does not apply here, silenced."""

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Silences advice that does not apply here; errors and real warnings pass."""
    for name in ("lightning.pytorch", "lightning.fabric"):  # devices found, tips
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenisers run in loader workers
    for message in (
        "does not have many workers",  # num_workers is a measured choice
        "smaller than the logging interval",  # limit_train_batches
        "It is recommended to use .*sync_dist=True",  # the module gathers before it measures
        "Experiment logs directory .* exists",  # it is the run directory
        "Checkpoint directory .* exists",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # lightning's own
        r"lr_scheduler.step\(\).*optimizer.step\(\)",
    ):
        warnings.filterwarnings("ignore", message=f".*{message}")
