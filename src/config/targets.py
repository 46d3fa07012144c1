"""What a configuration may build: `_target_` is a name that comes with a file, and whoever wrote it chose what runs.

Allowed are the names that the yaml files of conf/ have, and classes of the packages below that are defined there. A
name is never followed through a module's imports: `src.runs.directory.subprocess.run` is not ours.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from src.utils.errors import InputError, first_line, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF = Path(__file__).parents[2] / "conf"
ALLOWED = re.compile(
    r"(?:src\.(?:losses|weights|backbones|corpora|data\.samplers)|lightning\.pytorch\.(?:strategies|loggers|profilers|plugins))"
    r"(?:\.\w+)+"
)
TYPED_TARGET = re.compile(r"_target_['\"]?\s*[:=]\s*['\"]?([^'\",}\s]+)")  # in a word of the command line
# First name -> current name, of modules and of single objects. Runs, checkpoints and identities hold the first name
# that a `_target_` ever had: a rename adds a line here, and an object that moves a second time changes its line.
MOVED = {
    "src.batching": "src.data.samplers",
    "src.build": "src.training.build",
    "src.corpora.harvest": "src.corpora.source_trees",
    "src.metrics_csv": "src.runs.metrics_csv",
    "src.loggers.ForgivingWandbLogger": "src.loggers.wandb.FaultTolerantWandbLogger",
}
TARGET_LINE = re.compile(r"^\s*_target_:\s*([\w.]+)\s*$", re.MULTILINE)


@cache
def named_in_conf() -> frozenset[str]:
    """The targets of all yaml files in conf/, which came with the code."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(CONF.rglob("*.yaml")))
    return frozenset(name for text in texts for name in TARGET_LINE.findall(text))


def current_name(target: str) -> str:
    """The name by which a target is known now; finished runs and checkpoints hold that of their time."""
    return _renamed(target, MOVED)


def first_name(target: str) -> str:
    """The name that a target had first: identities are made of it, so that a rename changes none."""
    return _renamed(target, {new: old for old, new in MOVED.items()})


def _renamed(target: str, names: Mapping[str, str]) -> str:
    module, _, name = target.rpartition(".")
    return names.get(target) or (f"{names[module]}.{name}" if module in names else target)


def with_names(config: Any, name: Callable[[str], str] = current_name) -> Any:
    """Plain values with every `_target_` by its current name, or by another that `name` gives it."""
    if isinstance(config, Mapping):
        return {
            key: name(str(value)) if key == "_target_" else with_names(value, name) for key, value in config.items()
        }
    return [with_names(item, name) for item in config] if isinstance(config, list) else config


def locate_target(target: str) -> Callable[..., Any]:
    """The class or function of a target. Raises InputError where it must not be built, or is not there."""
    target = current_name(target)
    if target not in named_in_conf() and not ALLOWED.fullmatch(target):
        raise InputError(
            f"{target!r}: never built; expected a _target_ of conf/, or a class of src.losses, src.weights, "
            f"src.backbones, src.corpora, src.data.samplers or Lightning's strategies, loggers, profilers, plugins"
            f"{nearest(target, named_in_conf())}"
        )
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        near = nearest(target, named_in_conf() - {target})
        raise InputError(f"{target!r}, which is not there ({error}){near}") from None
    defined = str(getattr(found, "__module__", "")).split(".")[0]
    if target not in named_in_conf() and not (isinstance(found, type) and defined == module.split(".")[0]):
        raise InputError(f"{target!r}: never built; expected a class that is defined there")
    return found


def check_targets(config: Any, source: str | Path = "the configuration") -> None:
    """Raises InputError where a resolved configuration would build something foreign.

    Args:
        config: plain dicts and lists. Resolved: an interpolation can make a `_target_` out of pieces.
        source: what to call it in the error.
    """
    if isinstance(config, Mapping):
        if "_target_" in config:
            try:
                locate_target(str(config["_target_"]))
            except InputError as error:
                raise InputError(f"{source} asks to build {error}") from None
        if "_args_" in config:
            raise InputError(f"{source} gives arguments without names (_args_), which is never done here")
        for value in config.values():
            check_targets(value, source)
    elif isinstance(config, list | tuple):
        for value in config:
            check_targets(value, source)


def check_typed_targets(words: Sequence[str]) -> None:
    """The command line, before Hydra reads it: it builds some `_target_`s of its own node before any code of ours runs.

    Raises InputError for a target that must not be built, there or in the yaml files of --config-dir.
    """
    for place, word in enumerate(words):
        if word.startswith("-") and not word.startswith(("--config", "-c")):
            continue
        key = word.lstrip("+~").partition("=")[0]
        for target in TYPED_TARGET.findall(word):
            if key.startswith("hydra"):
                raise InputError(f"{key}: Hydra's own parts are those of conf/hydra, found another _target_ {target!r}")
            check_targets({"_target_": target}, key)
        if word.startswith(("--config-dir", "--config-path", "-cd", "-cp")):
            folder = Path(word.partition("=")[2] or (words[place + 1] if place + 1 < len(words) else ""))
            for path in sorted(folder.rglob("*.yaml")) if folder.is_dir() else ():
                check_targets(read_yaml(path), path)


def read_yaml(path: Path) -> Any:
    """Plain values of a yaml file. Raises InputError where it is none, or has a tag that would make an object."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected yaml with plain values ({' '.join(str(error).split())})") from error


def from_outside(config: Mapping[str, Any], source: str | Path) -> DictConfig:
    """A configuration that came with a file, resolved. Raises InputError where it would build something foreign."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        plain = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)
    except (OmegaConfBaseException, RecursionError, ValueError) as error:
        raise InputError(f"{source} has a configuration that does not resolve ({first_line(error)})") from error
    plain = with_names(plain)
    check_targets(plain, source)
    _, start, rest = str(plain).partition("${")  # once more, in any key or value
    if start:
        raise InputError(
            f"{source} hides an interpolation in its configuration, which is never resolved: {(start + rest)[:80]!r}"
        )
    return OmegaConf.create(plain)
