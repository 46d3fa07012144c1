"""Where the files of a pretrained checkpoint come from: a local folder, or the hub's cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from transformers.utils import logging as chatter

from src.utils.errors import InputError


def checkpoint_folder(name: str) -> str:
    """Where the files of a local folder or of a hub name lie; a hub name is downloaded once, into the hub's cache.

    Only configuration, tokenizer and weights are fetched; safetensors where the hub has them.

    Raises:
        InputError: no such folder, and no such hub name, or no answer from the hub within its time limit.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        return str(local)
    try:
        folder = ""
        for weights in ("model*.safetensors", "pytorch_model*.bin"):
            wanted = ["*.json", "*.txt", "*.model", weights]
            # of the subfolders only sentence-transformers' 1_Pooling is of use
            folder = snapshot_download(name, allow_patterns=wanted, ignore_patterns="[!1]*/*")
            if any(Path(folder).glob(weights)):
                break
        return folder
    except HFValidationError as error:
        reason, cause = "there is no such folder", error
    except RepositoryNotFoundError as error:
        reason, cause = "there is no such folder, and the hub has no such model (or it is not public)", error
    except Exception as error:  # the hub's client raises its own, the HTTP library's and the system's errors
        reason, cause = "there is no such folder, no copy in the hub's cache, and the hub did not answer", error
    raise InputError(
        f"backbone.name={name!r} cannot be loaded: {reason}; set backbone.name to a folder written by "
        "save_pretrained, or to a hub name with the network on"
    ) from cause


def refuse_remote_code(folder: str, name: str) -> None:
    """Raises InputError where a checkpoint asks for a model or a tokenizer of its own, in code that comes with it.

    transformers would fall back on a class of its own of the same `model_type` where it has one, and that class may
    compute something else: Qwen2 checkpoints made bidirectional by their own code become causal again.
    """
    for file in ("config.json", "tokenizer_config.json"):
        try:
            read = json.loads((Path(folder) / file).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # missing or damaged, which transformers says; it runs no such code either
            continue
        asked = read.get("auto_map") if isinstance(read, dict) else None
        for role in ("AutoModel", "AutoConfig", "AutoTokenizer"):
            if isinstance(asked, dict) and role in asked:
                raise InputError(
                    f"backbone.name={name!r} asks for code that comes with it ({file}: {role} from "
                    f"{asked[role]!r}), and such code is never run; set another backbone.name, or, if transformers' "
                    f"own class computes the same, a local folder whose {file} has no auto_map"
                )


def sentence_pooling(folder: str) -> str:
    """How a sentence encoder's own 1_Pooling/config.json pools; `mean`, the most common way, where it has none."""
    try:
        config = json.loads((Path(folder) / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "mean"
    modes = {"pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}
    return next((pooling for mode, pooling in modes.items() if config.get(mode)), "mean")


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar and no list of unused weights; what matters of the latter is an InputError here."""
    level, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    if bars:
        chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()
