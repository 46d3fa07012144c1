"""Advice of other libraries that does not apply here, silenced."""

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Silences advice that does not apply here; errors and real warnings pass."""
    for name in ("lightning.pytorch", "lightning.fabric"):  # devices found, tips
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenisers run in loader workers
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # num_workers is a measured choice
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")  # limit_train_batches
    # The module gathers before it measures, so that every device logs the same.
    warnings.filterwarnings("ignore", message=".*It is recommended to use .*sync_dist=True.*")
    warnings.filterwarnings("ignore", message=".*Experiment logs directory .* exists.*")  # it is the run directory
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists.*")
    warnings.filterwarnings(
        "ignore", message=".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*"
    )  # lightning's own
    warnings.filterwarnings("ignore", message=".*lr_scheduler.step\\(\\).*optimizer.step\\(\\).*")
