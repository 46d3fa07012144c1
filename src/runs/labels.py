"""What tables, model cards and dashboards call a run. An estimator is named only where the run has used one."""

from collections.abc import Mapping
from typing import Any

from src.config.targets import current_name, locate_target
from src.utils.errors import InputError

INFONCE = "src.losses.infonce.InfoNCE"
RANDOM = {"_target_": "src.data.samplers.RandomBatches"}  # of a run from before there was a choice of batchings


def run_name(config: Mapping[str, Any]) -> str:
    """The loss, the estimator where the run used one, and batches that are not random.

    Args:
        config: the configuration of a run, with `choices`.
    """
    choices = config["choices"]
    weights, batching = choices["weights"], choices.get("batching", "random")
    if needs_similarity(config.get("loss")):
        name = f"{choices['loss']} {weights}"
        return name if batching == "random" else f"{name}, {batching}"
    if reads_similarity(config):
        return f"{choices['loss']}, {batching} by {weights}"
    return choices["loss"] if batching == "random" else f"{choices['loss']}, {batching}"


def reads_similarity(config: Mapping[str, Any]) -> bool:
    """Whether the loss or the batching of a run reads the estimator's similarities."""
    return needs_similarity(config.get("loss")) or needs_similarity(config.get("batching") or RANDOM)


def needs_similarity(node: Any) -> bool:
    """Whether the class of a loss or batching needs similarities; True where the class is not here to tell."""
    try:
        return bool(getattr(locate_target(node["_target_"]), "needs_similarity", True))
    except (InputError, TypeError, KeyError):
        return True


def is_infonce(config: Mapping[str, Any]) -> bool:
    """Whether the loss is plain InfoNCE, with which the other losses are compared."""
    return current_name(config["loss"]["_target_"]) == INFONCE
