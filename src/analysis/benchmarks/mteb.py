"""Evaluation of the exported model by mteb, on mteb's own data from the hub."""

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import constants

from src.backbones.hub import quiet
from src.deploy.export import st_format
from src.deploy.export.parity import check
from src.module import CodeSearchModule
from src.utils.errors import InputError, first_line, nearest

KEPT = ("ndcg_at_10", "mrr_at_10", "map_at_10", "recall_at_1", "recall_at_10")  # of a subset's scores
INSTEAD = "corpus.root=DIR evaluates on local corpora"


def reachable() -> None:
    """Raises InputError where the hub does not answer."""
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        raise InputError(f"mteb's tasks come from the hub, and HF_HUB_OFFLINE is set; {INSTEAD}")
    try:
        httpx.head(endpoint, timeout=10, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise InputError(
            f"mteb's tasks come from the hub, and {endpoint} does not answer ({first_line(error)}); {INSTEAD}"
        ) from error


def chosen(names: Sequence[str]) -> list[Any]:
    """mteb's tasks by name; raises InputError where the hub does not answer, or mteb is not installed or lacks one."""
    reachable()
    if importlib.util.find_spec("mteb") is None:
        raise InputError(f"mteb's tasks need mteb, an optional extra: pip install -e '.[benchmark]'; {INSTEAD}")
    with warnings.catch_warnings(action="ignore"):
        import mteb

        known = {task.metadata.name for task in mteb.get_tasks(task_types=["Retrieval"])}
        for name in names:
            if name not in known:
                raise InputError(f"tasks: mteb has no retrieval task {name!r}{nearest(name, known)}")
        return list(mteb.get_tasks(tasks=list(names)))


def evaluate(module: CodeSearchModule, tasks: Sequence[Any], folder: Path, batch_size: int) -> dict[str, dict]:
    """Task -> `main_score` (mteb's choice, mostly NDCG@10) and the scores of each subset of its test split.

    The model is exported and loaded again, as others would load it. mteb's files are kept in `folder`.
    """
    with warnings.catch_warnings(action="ignore"), tempfile.TemporaryDirectory() as exported, quiet():
        import mteb
        from mteb.cache import ResultCache
        from sentence_transformers import SentenceTransformer

        model_folder = Path(exported, "model")
        st_format.write(module.cpu().eval(), model_folder)
        check(module, st_format.reading(module, model_folder), "format=sentence_transformers")
        model = SentenceTransformer(str(model_folder), trust_remote_code=st_format.needs_trust(module.encoder))
        results = mteb.evaluate(
            model, tasks, encode_kwargs={"batch_size": batch_size}, cache=ResultCache(folder), show_progress_bar=False
        )
    found = {}
    for result in results.task_results:
        scores: dict[str, Any] = {"main_score": float(result.get_score())}
        for split, parts in result.scores.items():
            for part in parts:
                scores[f"{split}/{part['hf_subset']}"] = {key: part[key] for key in KEPT if key in part}
        found[result.task_name] = scores
    return found
