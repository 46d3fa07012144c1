"""The files of a pretrained checkpoint: in a local folder, or in the hub's cache."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from transformers.utils import logging as transformers_logging

from src.config.choices import Pooling
from src.utils.errors import InputError
from src.utils.files import read_json


def checkpoint_folder(name: str) -> str:
    """The folder with the files of a local checkpoint or of a hub name, which is downloaded once into the hub's cache.

    Only configuration, tokenizer and weights are downloaded; safetensors where the hub has them.

    Raises InputError: no such folder, and no such hub name, or no answer from the hub within its time limit.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        return str(local)
    try:
        for weights in ("model*.safetensors", "pytorch_model*.bin"):
            wanted = ["*.json", "*.txt", "*.model", weights]
            # of the subfolders only sentence-transformers' 1_Pooling is needed
            folder = snapshot_download(name, allow_patterns=wanted, ignore_patterns="[!1]*/*")
            if any(Path(folder).glob(weights)):
                break
        return folder
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's errors
        if isinstance(error, HFValidationError):
            reason = "there is no such folder"
        elif isinstance(error, RepositoryNotFoundError):
            reason = "there is no such folder, and the hub has no such model (or it is not public)"
        else:
            reason = "there is no such folder, no copy in the hub's cache, and the hub did not answer"
        raise InputError(
            f"backbone.name={name!r} cannot be loaded: {reason}; set backbone.name to a folder written by "
            "save_pretrained, or to a hub name with the network on"
        ) from error


def refuse_remote_code(folder: str, name: str) -> None:
    """Raises InputError where a checkpoint needs a model or a tokenizer defined by code in its own repository.

    transformers would silently use its own class of the same `model_type` where it has one, and that class may
    compute something else: Qwen2 checkpoints made bidirectional by their own code become causal again.
    """
    for file in ("config.json", "tokenizer_config.json"):
        # transformers reports a missing or damaged file, and runs no such code either
        custom = read_json(Path(folder) / file).get("auto_map")
        for role in ("AutoModel", "AutoConfig", "AutoTokenizer"):
            if isinstance(custom, dict) and role in custom:
                raise InputError(
                    f"backbone.name={name!r} asks for code that comes with it ({file}: {role} from "
                    f"{custom[role]!r}), and such code is never run; set another backbone.name, or, if transformers' "
                    f"own class computes the same, a local folder whose {file} has no auto_map"
                )


def sentence_pooling(folder: str) -> Pooling:
    """The pooling in a sentence encoder's own 1_Pooling/config.json; `mean`, the most common one, without that file."""
    config = read_json(Path(folder) / "1_Pooling" / "config.json")
    modes: dict[str, Pooling] = {"pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}
    return next((pooling for mode, pooling in modes.items() if config.get(mode)), "mean")


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and lists of unused weights; missing weights raise an InputError instead."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
