"""A composed configuration against what its keys are: every value has its type, and no key is one that nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from src.config.arguments import Argument, arguments, passed_on
from src.config.commands import COMMANDS
from src.config.targets import check_targets, located
from src.config.types import check_value, described, section
from src.utils.errors import InputError, nearest

HYDRA_KEYS = frozenset(("_target_", "_partial_", "_recursive_", "_convert_"))
# What the code gives a constructor itself.
GIVEN = frozenset(("save_dir",))


def check(cfg: DictConfig, command: str) -> None:
    """Raises InputError for the first key that does not exist or whose value is none of its values."""
    kinds = {key: item.kind for key, item in arguments(COMMANDS[command]).items()}
    # What may be anything is not read as it is: src.download's corpus refers to keys that only a training has.
    plain: dict[str, Any] = {}
    for key in cfg:
        node = cfg[key] if kinds.get(key) is not Any else None
        plain[key] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    check_targets(plain)
    check_keys("", plain, COMMANDS[command])


def check_part(key: str, node: DictConfig) -> None:
    """The same for a part that was resolved on its own."""
    plain = OmegaConf.to_container(node, resolve=True)
    check_targets(plain)
    _check(key, plain, Any)


def check_keys(prefix: str, node: Mapping[str, Any], of: Callable[..., Any]) -> None:
    """The keys of a node against the arguments of what it is for; below `_target_`, of that."""
    takes = taken(of, node)
    for key, value in node.items():
        if key in HYDRA_KEYS or (key not in takes and passed_on(of) is None):
            continue
        if key not in takes:
            names = [f"{prefix}{name}" for name in takes]
            what = f"{prefix.rstrip('.')} ({of.__qualname__.split('.')[0]})" if prefix else "the configuration"
            raise InputError(f"{prefix}{key} is no key of {what}{nearest(f'{prefix}{key}', names)}")
        _check(f"{prefix}{key}", value, takes[key].kind)
    if not node.get("_partial_"):
        for key in sorted(_missing(takes, node)):
            raise InputError(f"{prefix}{key}: expected {described(takes[key].kind)}, found nothing")


def taken(of: Callable[..., Any], node: Mapping[str, Any]) -> dict[str, Argument]:
    """The arguments of what a node is for, with those that it passes on to another key's `_target_`."""
    takes = {**arguments(of)}
    inner = passed_on(of)
    if inner and inner in node:
        takes |= {key: item for key, item in arguments(located(node[inner]["_target_"])).items() if key not in takes}
    return takes


def _missing(takes: Mapping[str, Argument], node: Mapping[str, Any]) -> set[str]:
    return {key for key, item in takes.items() if item.required} - node.keys() - GIVEN


def _check(key: str, value: Any, kind: Any) -> None:
    if isinstance(value, Mapping) and "_target_" in value:
        check_keys(f"{key}.", value, located(value["_target_"]))
    elif isinstance(value, Mapping) and (of := section(kind)):
        check_keys(f"{key}.", value, of)
    elif isinstance(value, Mapping) and (inside := _each(kind)) is not Any:
        for name, item in value.items():
            _check(f"{key}.{name}", item, inside)
    elif _builds(value):
        for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            _check(f"{key}.{name}", item, Any)
    else:
        check_value(key, value, kind)


def _each(kind: Any) -> Any:
    """What each value of a mapping is; Any for what is none."""
    if get_origin(kind) is Annotated:
        return _each(get_args(kind)[0])
    return get_args(kind)[1] if get_origin(kind) is Mapping and get_args(kind) else Any


def _builds(value: Any) -> bool:
    """Whether something below is built, by its own `_target_`."""
    if isinstance(value, Mapping):
        return "_target_" in value or any(_builds(item) for item in value.values())
    return isinstance(value, list) and any(_builds(item) for item in value)
