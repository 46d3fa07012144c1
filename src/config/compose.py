"""Composes a command's configuration, and explains which word of the command line Hydra refused."""

from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.arguments import arguments
from src.config.overrides import no_such_key, options_of_groups, split_words
from src.config.targets import CONF, locate_target
from src.utils.errors import InputError, nearest


def compose_config(config_name: str, overrides: Sequence[str] = (), with_hydra: bool = False) -> DictConfig:
    """The configuration of `python -m src.<config_name> <overrides>`, inside a run or outside of one.

    Args:
        with_hydra: whether Hydra's own node is part of it.
    """
    if GlobalHydra.instance().is_initialized():
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return compose(config_name, overrides=list(overrides), return_hydra_config=with_hydra)


def explain_refusal(words: Sequence[str], config_name: str) -> str:
    """Which word names what does not exist, and the nearest valid name; empty where no word does.

    To be called after Hydra refused to compose the words.
    """
    try:
        line = split_words(words)
        overrides = OverridesParser.create().parse_overrides(line.words)
    except (InputError, HydraException):
        return ""
    groups = options_of_groups(line.flags.get("--config-dir"))
    for override in overrides:
        group = override.key_or_group
        for choice in _choices(override) if group in groups and not override.is_delete() else ():
            if choice not in groups[group]:
                hint = f"{nearest(choice, groups[group])} (options: {', '.join(groups[group])})"
                return f"{group}={choice} is no option of {group}{hint}"
    GlobalHydra.instance().clear()
    chosen = [override.input_line or "" for override in overrides if _is_choice(override, groups)]
    try:
        cfg = compose_config(config_name, chosen, with_hydra=True)
    except (HydraException, OmegaConfBaseException):
        return ""
    explanations = (_explain(override, cfg, groups, config_name, chosen) for override in overrides)
    return next(filter(None, explanations), "")


def _explain(
    override: Override, cfg: DictConfig, groups: dict[str, list[str]], config_name: str, chosen: Sequence[str]
) -> str:
    """What is wrong with one word, given the options of groups that the command line chooses."""
    word, name = override.input_line or "", override.key_or_group
    if name in groups:
        return _explain_group(override, cfg, groups[name], config_name)
    name = name.replace("/", ".")
    keys = list(_keys(cfg))
    if name not in keys:
        if override.is_force_add() or (override.is_add() and _is_constructor_argument(cfg, name)):
            return ""
        if _is_constructor_argument(cfg, name):
            return f"{name}: conf/ does not set it, so type +{word}"
        if others := _other_options_with(name, cfg, groups, config_name, chosen):
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            group = name.partition(".")[0]
            return (
                f"{name} is a key of {', '.join(others[:3])}{more}, found {group}={cfg.hydra.runtime.choices[group]}: "
                "choose that too, or leave it out"
            )
        # None that the name stands below may be meant, and Hydra's own only for one of those.
        own = [key for key in (*keys, *groups) if key.startswith("hydra") == name.startswith("hydra")]
        near = [key for key in own if not name.startswith(f"{key}.")]
        return no_such_key(name, keys, config_name, near)
    if override.is_add() and not override.is_force_add():
        return f"{word}: {name} is there already; type {word.lstrip('+')}"
    node = OmegaConf.select(cfg, name, throw_on_resolution_failure=False)
    if isinstance(value := override.value(), dict):
        absent = [f"{name}.{key}" for key in value if f"{name}.{key}" not in keys]
        return f"{absent[0]} is no key of src.{config_name}{nearest(absent[0], keys)}" if absent else ""
    if OmegaConf.is_dict(node) and not override.is_delete():
        found = override.get_value_string()
        package = next((key for key in cfg.hydra.runtime.choices if key.endswith(f"@{name}")), None)
        example = next(iter(node), "KEY")
        instead = f"type {package}={found}" if package else f"set one of them, as in {name}.{example}=VALUE"
        return f"{word}: expected keys below {name}, found {found}; {instead}"
    return ""


def _explain_group(override: Override, cfg: DictConfig, options: Sequence[str], config_name: str) -> str:
    word, name = override.input_line or "", override.key_or_group
    chosen = cfg.hydra.runtime.choices.get(name)
    if override.is_add() and chosen and not override.package:
        return f"{word}: {name}={chosen} is chosen already; type {word.lstrip('+')}"
    if override.is_delete():
        return f"{word}: src.{config_name} needs one of {', '.join(options)}"
    if isinstance(override.value(), list) and not _combines_options(cfg, name):
        each = f"{name}={','.join(_choices(override))}"
        return f"{word}: expected one option of {name}, found a list; -m {each} runs each"
    return ""


def _choices(override: Override) -> list[str]:
    """The options that a word names; of a sweep, all of them."""
    value: Any = override.value()
    if isinstance(value, ChoiceSweep):
        value = [getattr(item, "text", item) for item in value.list]
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _is_choice(override: Override, groups: dict[str, list[str]]) -> bool:
    return override.key_or_group in groups and not (
        override.is_sweep_override() or override.is_add() or override.is_delete() or isinstance(override.value(), list)
    )


def _combines_options(cfg: DictConfig, group: str) -> bool:
    """Whether several options of the group can be chosen, each below its own name, as loggers are."""
    node = OmegaConf.select(cfg, group)
    return OmegaConf.is_dict(node) and all(OmegaConf.is_dict(part) and "_target_" in part for part in node.values())


def _other_options_with(
    name: str, cfg: DictConfig, groups: dict[str, list[str]], config_name: str, chosen: Sequence[str]
) -> list[str]:
    """The options of the key's group that have the key, where the chosen one has not."""
    group = name.partition(".")[0]
    found = []
    for option in groups.get(group, ()) if group in cfg.hydra.runtime.choices else ():
        try:
            other = compose_config(config_name, [*chosen, f"{group}={option}"])
        except (HydraException, OmegaConfBaseException):
            continue
        if name in _keys(other):
            found.append(f"{group}={option}")
    return found


def _is_constructor_argument(cfg: DictConfig, key: str) -> bool:
    """Whether a key that conf/ does not set is an argument of what is built, such as one of lightning.Trainer's."""
    above, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, above) if above and not key.startswith("hydra.") else None
    target = node.get("_target_") if isinstance(node, DictConfig) else None
    return target is not None and name in arguments(locate_target(target))


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, cfg):
        if key.startswith("_") or OmegaConf.is_missing(cfg, key):
            continue
        yield f"{prefix}{key}"
        if not OmegaConf.is_interpolation(cfg, key) and OmegaConf.is_dict(cfg[key]):
            yield from _keys(cfg[key], f"{prefix}{key}.")
