"""A run's README.md: a model card as the Hugging Face hub reads it, from the files of the run directory alone.

It is written when a run ends, however it ends: the card of a failed run says so, and a run in progress has none.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from src.runs import model_card_sections as sections
from src.runs.directory import RunDirectory
from src.runs.identity import run_name
from src.runtime import launch
from src.utils.errors import InputError, UserError, first_line

log = logging.getLogger(__name__)

FILE = "README.md"
TAG = "soft-infonce-run"  # tells our cards from a README.md that somebody wrote
LOAD = """In this directory, in an environment that has the project (`pip install -e` its folder):

```python
import torch

from src.training.guide_models import read_module

module = read_module("checkpoints/best.ckpt").eval()
queries = ["read all lines of a file"]
codes = ["def close(socket):\\n    socket.shutdown()", "def read_lines(file):\\n    return file.readlines()"]
with torch.inference_mode():
    queries_BD, codes_CD = module.embed(module.encoder.queries(queries)), module.embed(module.encoder.codes(codes))
    scores_BC = module.score(queries_BD, codes_CD)
print(codes[scores_BC[0].argmax()])
```

`python -m src.eval run=DIR`, with this directory as DIR, ranks the test split again and must find the same ranks."""


@contextmanager
def kept(run: RunDirectory) -> Iterator[None]:
    """The directory has a card when the block has ended, and none while it runs: what an earlier run left is removed.

    Goes around `run.recording()`, whose verdict the card repeats. A README.md that is no card of ours stays as it is.
    """
    path = run.path / FILE
    write = launch.is_rank_zero() and is_ours(path)
    if write:
        path.unlink(missing_ok=True)
    try:
        yield
    finally:
        if write:
            try:
                run.write_text(FILE, card(run.path))
            except (OSError, UserError) as error:  # must not hide how the run itself ended
                log.warning("no %s was written: %s", FILE, error)


def is_ours(path: Path) -> bool:
    """Whether the file may be replaced: it is not there, or a card of an earlier run."""
    return not path.exists() or f"\n- {TAG}\n" in path.read_text(encoding="utf-8", errors="replace")


def card(run_directory: str | Path, load: str = LOAD, library_name: str | None = None) -> str:
    """The model card of a run, as Markdown under YAML front matter.

    Args:
        run_directory: of `src.train`; finished, failed, interrupted or still running, and the card says which.
        load: the section on how to load the model, where it has been exported to something else.
        library_name: the hub's name of the library that `load` uses.

    Raises:
        InputError: no run directory, or one whose files are damaged.
    """
    folder = Path(run_directory)
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no run directory ({type(error).__name__}: no readable status.json): give the one that "
            "src.train printed at its end"
        ) from error
    if status.get("status") != "finished":
        # Other files may be those of an earlier run in the same directory.
        return _join(ModelCardData(tags=[TAG]), ["# A run without a result", *_verdict(status)])
    try:
        cfg = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        metrics, environment = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in ("metrics.json", "environment.json")
        )
        names = cfg["choices"]
        parts = [
            f"# {run_name(cfg)}: {names['backbone']} encoder, {names['lang']} code search",
            sections.summary(cfg),
            *("## Results", *sections.results(cfg, metrics, environment)),
            *("## Data", *sections.data(cfg, environment)),
            *("## Recipe", sections.recipe(cfg, metrics, environment), *sections.command(folder)),
            *("## How to load", load, *sections.form(cfg)),
            *("## Intended use", sections.INTENDED),
            *("## Limitations", sections.limitations(cfg)),
        ]
        return _join(_front_matter(cfg, metrics, library_name), parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{folder} is not a whole run directory ({reason})") from error


def _join(data: ModelCardData, parts: Sequence[str]) -> str:
    return f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _front_matter(cfg: Mapping[str, Any], metrics: Mapping[str, float], library_name: str | None) -> ModelCardData:
    names = cfg["choices"]
    results = [
        EvalResult(
            task_type="text-retrieval",
            task_name="Code search",
            dataset_type=names["corpus"],
            dataset_name=f"{sections.corpus(cfg)} {names['lang']}",
            dataset_config=names["lang"],
            dataset_split="test",
            metric_type=key.replace("@", "_at_"),
            metric_name=name,
            metric_value=metrics[f"test/{key}"],
        )
        for key, name in sections.NAMES.items()
    ]
    bases = list(dict.fromkeys(_hub_names(cfg["backbone"]["encoder"])))
    return ModelCardData(
        language=["en", "code"],
        library_name=library_name,
        pipeline_tag="sentence-similarity",
        tags=list(dict.fromkeys([TAG, "code-search", names["loss"], names["lang"], names["backbone"]])),
        base_model=bases or None,
        model_name=run_name(cfg),
        eval_results=results,
    )


def _hub_names(encoder: Mapping[str, Any]) -> Iterator[str]:
    """Names of the pretrained encoders, where they are the hub's and not folders of this machine."""
    for key, value in encoder.items():
        if isinstance(value, Mapping):
            yield from _hub_names(value)
        elif key == "name" and isinstance(value, str) and not Path(value).expanduser().exists():
            try:
                validate_repo_id(value)
            except HFValidationError:
                continue
            yield value


def _verdict(status: Mapping[str, Any]) -> Iterator[str]:
    what = {"failed": "failed", "interrupted": "was interrupted"}.get(str(status.get("status")), "has not finished")
    yield f"**This run {what}.** How far it got is in `train.log`; there is no result to report."
    if status.get("error"):
        yield f"```text\n{status['error'].replace('```', '')}\n```"
