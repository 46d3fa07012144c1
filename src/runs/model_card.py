"""A run's README.md: a model card as the Hugging Face hub reads it, from the files of the run directory alone.

It is written when a run ends, however it ends: the card of a failed run says so, and a run in progress has none. Its
text is model_card.md, a template of jinja2.
"""

import json
import logging
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from jinja2 import StrictUndefined, Template, UndefinedError

from src.runs.directory import RunDirectory
from src.runs.identity import needs_similarity, reads_similarity, run_name
from src.runtime import launch
from src.utils.errors import InputError, UserError, first_line

log = logging.getLogger(__name__)

FILE = "README.md"
TAG = "soft-infonce-run"  # tells our cards from a README.md that somebody wrote
TEMPLATE = Template(
    Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"),
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)
LANGUAGE = re.compile(r"test/([^/]+)/mrr")
NAMES = {"mrr": "MRR", "recall@1": "R@1", "recall@5": "R@5", "recall@10": "R@10", "ndcg@10": "NDCG@10"}


@contextmanager
def kept(run: RunDirectory) -> Iterator[None]:
    """The directory has a card when the block has ended, and none while it runs: what an earlier run left is removed.

    Goes around `run.recording()`, whose verdict the card repeats. A README.md that is no card of ours stays as it is.
    """
    path = run.path / FILE
    is_ours = not path.exists() or f"\n- {TAG}\n" in path.read_text(encoding="utf-8", errors="replace")
    write = launch.is_rank_zero() and is_ours
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


def card(run_directory: str | Path, load: str = "", library_name: str | None = None) -> str:
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
        how = {"failed": "failed", "interrupted": "was interrupted"}.get(str(status.get("status")), "has not finished")
        said = status.get("error", "").replace("```", "")
        return TEMPLATE.render(front_matter=ModelCardData(tags=[TAG]).to_yaml(), verdict=how, error=said)
    try:
        cfg = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        metrics, environment = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in ("metrics.json", "environment.json")
        )
        encoder, packages = cfg["backbone"]["encoder"], environment.get("packages", {})
        sides = {"query": "max_query_tokens", "code": "max_code_tokens"}
        return TEMPLATE.render(
            front_matter=_front_matter(cfg, metrics, library_name).to_yaml(),
            verdict="",
            cfg=cfg,
            name=run_name(cfg),
            names=cfg["choices"],
            metrics=metrics,
            environment=environment,
            estimator=cfg["choices"]["weights"] if needs_similarity(cfg["loss"]) else "",
            reads_similarity=reads_similarity(cfg),
            corpus=_corpus(cfg),
            languages=[found[1] for key in metrics if (found := LANGUAGE.fullmatch(key))],
            parameters=_parameters,
            versions=", ".join(f"{name} {packages[name]}" for name in ("torch", "lightning") if packages.get(name)),
            command=_command(folder),
            load=load,
            lengths=[f"{encoder[key]} tokens of a {side}" for side, key in sides.items() if key in encoder],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, UndefinedError) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{folder} is not a whole run directory ({reason})") from error


def _front_matter(cfg: Mapping[str, Any], metrics: Mapping[str, float], library_name: str | None) -> ModelCardData:
    names = cfg["choices"]
    results = [
        EvalResult(
            task_type="text-retrieval",
            task_name="Code search",
            dataset_type=names["corpus"],
            dataset_name=f"{_corpus(cfg)} {names['lang']}",
            dataset_config=names["lang"],
            dataset_split="test",
            metric_type=key.replace("@", "_at_"),
            metric_name=name,
            metric_value=metrics[f"test/{key}"],
        )
        for key, name in NAMES.items()
    ]
    return ModelCardData(
        language=["en", "code"],
        library_name=library_name,
        pipeline_tag="sentence-similarity",
        tags=list(dict.fromkeys([TAG, "code-search", names["loss"], names["lang"], names["backbone"]])),
        base_model=list(dict.fromkeys(_hub_names(cfg["backbone"]["encoder"]))) or None,
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


def _corpus(cfg: Mapping[str, Any]) -> str:
    """What was trained on; the name of the folder alone where it is one, for a path says nothing elsewhere."""
    root = cfg["corpus"].get("root")
    own = cfg["choices"]["corpus"]
    return own if not root or Path(root).name == own else f"{own} ({Path(root).name})"


def _parameters(node: Mapping[str, Any]) -> str:
    """`: alpha 1.0, beta 1.0`, without what is not set, as it may stand in a table."""
    shown = ", ".join(f"{key} {_short(str(value))}" for key, value in _flat(node))
    return ": " + shown.replace("|", "\\|").replace("\n", " ") if shown else ""


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif not key.startswith("_") and value not in (None, "", False):
            yield f"{prefix}{key}", value


def _command(folder: Path) -> str:
    """What was typed, where Hydra has kept it. Paths of this machine are cut to their last name."""
    kept_by_hydra = folder / ".hydra" / "overrides.yaml"
    if not kept_by_hydra.is_file():
        return ""
    overrides = [_short(str(word)) for word in yaml.safe_load(kept_by_hydra.read_text(encoding="utf-8")) or []]
    words = [word for word in overrides if not word.startswith(("hydra.", "cache="))]
    return shlex.join(["python", "-m", "src.train", *words])


def _short(text: str) -> str:
    return re.sub(r"(?<![^=,\[])(?:/|~/)[^,\]]*/([^/,\]]+)", r"…/\1", text)
