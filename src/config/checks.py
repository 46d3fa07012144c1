"""Checks a composed configuration: every value has its type, and every key is one that something reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from src.config.arguments import Argument, arguments, kwargs_key
from src.config.commands import COMMANDS
from src.config.targets import CONF, check_targets, locate_target
from src.config.types import check_value, class_of_section, describe_type
from src.utils.errors import InputError, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig

HYDRA_KEYS = frozenset(("_target_", "_partial_", "_recursive_", "_convert_"))
SET_BY_CODE = frozenset(("save_dir",))  # arguments of constructors that no configuration gives


def check(cfg: DictConfig, command: str) -> None:
    """Raises InputError for the first key that does not exist or whose value has another type."""
    from omegaconf import OmegaConf

    annotations = {key: item.annotation for key, item in arguments(COMMANDS[command]).items()}
    # What may be anything is not read as it is: src.download's corpus refers to keys that only a training has.
    plain: dict[str, Any] = {}
    for key in map(str, cfg):
        node = cfg[key] if annotations.get(key) is not Any else None
        plain[key] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    check_targets(plain)
    check_keys("", plain, COMMANDS[command])


def check_part(key: str, node: DictConfig) -> None:
    """The same for a part that was resolved on its own."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(node, resolve=True)
    check_targets(plain)
    _check(key, plain, Any)


def check_keys(prefix: str, node: Mapping[str, Any], of: Callable[..., Any]) -> None:
    """Checks the keys of a node against the arguments of what it is for; below `_target_`, of that."""
    accepted = accepted_arguments(of, node)
    for key, value in node.items():
        if key in HYDRA_KEYS or (key not in accepted and kwargs_key(of) is None):
            continue
        if key not in accepted:
            names = [f"{prefix}{name}" for name in accepted]
            owner = f"{prefix.rstrip('.')} ({of.__qualname__.split('.')[0]})" if prefix else "the configuration"
            raise InputError(f"{prefix}{key} is no key of {owner}{nearest(f'{prefix}{key}', names)}")
        _check(f"{prefix}{key}", value, accepted[key].annotation)
    if not node.get("_partial_"):
        required = {key for key, item in accepted.items() if item.required}
        for key in sorted(required - node.keys() - SET_BY_CODE):
            options = ", ".join(sorted(path.stem for path in (CONF / prefix / key).glob("*.yaml")))
            expected = f"one of {options} (~{key} removes it)" if options else describe_type(accepted[key].annotation)
            raise InputError(f"{prefix}{key}: expected {expected}, found nothing")


def accepted_arguments(of: Callable[..., Any], node: Mapping[str, Any]) -> dict[str, Argument]:
    """The arguments of what a node is for, with those that it passes on to another key's `_target_`."""
    accepted = {**arguments(of)}
    inner = kwargs_key(of)
    if inner and inner in node:
        passed_on = arguments(locate_target(node[inner]["_target_"]))
        accepted |= {key: item for key, item in passed_on.items() if key not in accepted}
    return accepted


def _check(key: str, value: Any, annotation: Any) -> None:
    if isinstance(value, Mapping) and "_target_" in value:
        check_keys(f"{key}.", value, locate_target(value["_target_"]))
    elif isinstance(value, Mapping) and (of := class_of_section(annotation)):
        check_keys(f"{key}.", value, of)
    elif isinstance(value, Mapping) and (inner := _type_of_values(annotation)) is not Any:
        for name, item in value.items():
            _check(f"{key}.{name}", item, inner)
    elif _contains_target(value):
        for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            _check(f"{key}.{name}", item, Any)
    else:
        check_value(key, value, annotation)


def _type_of_values(annotation: Any) -> Any:
    """The type of each value of a mapping; Any for what is no mapping."""
    if get_origin(annotation) is Annotated:
        return _type_of_values(get_args(annotation)[0])
    return get_args(annotation)[1] if get_origin(annotation) is Mapping and get_args(annotation) else Any


def _contains_target(value: Any) -> bool:
    """Whether something below is built, by its own `_target_`."""
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_contains_target, value.values()))
    return isinstance(value, list) and any(map(_contains_target, value))
