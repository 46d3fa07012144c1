"""The words of a command line that Hydra reads: what is wrong with them, in one line with the nearest valid name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from src.config.arguments import arguments
from src.config.hydra_internals import hydra_parser
from src.config.targets import CONF, located
from src.utils.errors import InputError, nearest

OPEN = {"(": ")", "[": "]", "{": "}"}
MOST = 16  # names of an error that lists them all


def composed(config_name: str, overrides: Sequence[str] = (), hydra: bool = False) -> DictConfig:
    """The configuration of `python -m src.<config_name> <overrides>`, inside a run or outside of one."""
    options = {"overrides": list(overrides), "return_hydra_config": hydra}
    if GlobalHydra.instance().is_initialized():
        return compose(config_name, **options)
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return compose(config_name, **options)


def check_overrides(words: Sequence[str], config_name: str) -> list[str]:
    """The words with keys last, since Hydra takes none after a flag that follows one (`seed=1,2 -m loss=bce`).

    Raises InputError for the first word that Hydra would not read, or would read as something else than was meant.
    Before Hydra composes anything: neither that a key exists nor that a value has its type is looked at.
    """
    given = _parsed(words)
    for option in ("config_name", "config_path"):
        if getattr(given, option) is not None:
            raise InputError(
                f"--{option.replace('_', '-')}: src.{config_name} reads conf/{config_name}.yaml and no other; keys go "
                "on the command line, options of your own into a folder that --config-dir names"
            )
    groups = groups_of(given.config_dir)
    for word in given.overrides:
        _check_word(word, groups, given.multirun)
    return [*(word for word in words if word not in given.overrides), *given.overrides]


def groups_of(config_dir: str | None = None) -> dict[str, list[str]]:
    """The options of every group, in conf/ and in the folder of --config-dir."""
    found: dict[str, set[str]] = {}
    for root in (CONF, *([Path(config_dir)] if config_dir else ())):
        for folder in (path for path in root.rglob("*") if path.is_dir()):
            options = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
            found.setdefault(folder.relative_to(root).as_posix(), set()).update(options)
    return {group: sorted(options) for group, options in found.items()}


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """The command line as Hydra takes it apart."""
    parser = hydra_parser()
    options = list(dict.fromkeys(re.findall(r"--[\w-]+", parser.format_usage())))

    def refuse(message: str) -> None:
        raise InputError(message)

    parser.error = refuse
    given, unknown = parser.parse_known_args(list(words))
    for flag in (word for word in unknown if word.startswith("-")):
        near = nearest(flag.partition("=")[0], options) or f"; there are {', '.join(options)}"
        refuse(f"{flag} is no flag{near}" + (f"; a key has no dashes: {flag.lstrip('-')}" if "=" in flag else ""))
    # What follows a flag that follows a key.
    given.overrides = [*given.overrides, *unknown]
    return given


def _check_word(word: str, groups: dict[str, list[str]], multirun: bool) -> None:
    key, equals, text = word.partition("=")
    name = key.lstrip("+~")
    if not equals and not word.startswith("~"):
        options = f"; the options of {name} are {', '.join(groups[name])}" if name in groups else ""
        raise InputError(f"{word!r}: expected KEY=VALUE without blanks around =, found no ={options}")
    if equals and not name:
        raise InputError(f"{word!r}: expected KEY=VALUE, found no key before =")
    if equals and not text:
        raise InputError(
            f"{word}: expected a value after =, found nothing; type {key}=null for none, \"{key}=''\" for an empty text"
        )
    try:
        override = OverridesParser.create().parse_override(word)
        value = override.value()
    except (HydraException, ValueError):
        raise InputError(_unreadable(word, key, text)) from None
    if override.is_sweep_override():
        if not multirun:
            a_list = "" if name in groups else f", and a list is typed {key}=[{text}]"
            raise InputError(f"{word}: expected one value, found several; to run one job per value add -m{a_list}")
    elif name in groups and not word.startswith("~"):
        chosen = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in chosen):
            shown = "null, so leave the word out for none" if value is None else text
            raise InputError(f"{word}: expected an option of {name} ({', '.join(groups[name])}), found {shown}")
        if wrong := [item for item in chosen if item.endswith(".yaml")]:
            raise InputError(f"{word}: an option has no .yaml{nearest(wrong[0], groups[name])}")


def _unreadable(word: str, key: str, text: str) -> str:
    """What to say of a word that Hydra's grammar does not have."""
    if any(text.count(left) > text.count(right) for left, right in OPEN.items()):
        return f"{word}: a bracket is never closed; a value with blanks is quoted, as in '{key}=[a, b]'"
    return (
        f"{word}: {text!r} is no value as it stands; text with signs such as ~ ( ) [ ] , = is quoted, as in "
        f"'{key}=\"{text}\"'"
    )


def explained(words: Sequence[str], config_name: str) -> str:
    """Which word names what does not exist, and what is nearest; empty where none does. For when Hydra refused."""
    try:
        given = _parsed(words)
        overrides = OverridesParser.create().parse_overrides(given.overrides)
    except (InputError, HydraException):
        return ""
    groups = groups_of(given.config_dir)
    for override in overrides:
        for choice in _choices(override) if override.key_or_group in groups and not override.is_delete() else ():
            options = groups[override.key_or_group]
            if choice not in options:
                where = f"{override.key_or_group}={choice} is no option of {override.key_or_group}"
                return f"{where}{nearest(choice, options)} (options: {', '.join(options)})"
    GlobalHydra.instance().clear()
    chosen = [override.input_line for override in overrides if _is_choice(override, groups)]
    try:
        cfg = composed(config_name, chosen, hydra=True)
    except (HydraException, OmegaConfBaseException):
        return ""
    for override in overrides:
        if said := _about(override, cfg, groups, config_name, chosen):
            return said
    return ""


def _about(
    override: Override, cfg: DictConfig, groups: dict[str, list[str]], config_name: str, chosen: Sequence[str]
) -> str:
    word, name = override.input_line, override.key_or_group
    if name in groups:
        taken = cfg.hydra.runtime.choices.get(name)
        if override.is_add() and taken and not override.package:
            return f"{word}: {name}={taken} is chosen already; type {word.lstrip('+')}"
        if isinstance(override.value(), list) and not override.is_delete() and not _is_combined(cfg, name):
            each = f"{name}={','.join(_choices(override))}"
            return f"{word}: expected one option of {name}, found a list; -m {each} runs each"
        return f"{word}: src.{config_name} needs one of {', '.join(groups[name])}" if override.is_delete() else ""
    name = name.replace("/", ".")
    keys = list(_keys(cfg))
    if name not in keys:
        if override.is_force_add() or (override.is_add() and _is_taken(cfg, name)):
            return ""
        if _is_taken(cfg, name):
            return f"{name}: conf/ does not set it, so type +{word}"
        if others := _of_others(name, cfg, groups, config_name, chosen):
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            group = name.partition(".")[0]
            return (
                f"{name} is a key of {', '.join(others[:3])}{more}, found {group}={cfg.hydra.runtime.choices[group]}: "
                "choose that too, or leave it out"
            )
        near = nearest(name, [key for key in (*keys, *groups) if _is_near(key, name)])
        return f"{name} is no key of src.{config_name}{near or _beside(name, keys)}; --help lists them"
    if override.is_add() and not override.is_force_add():
        return f"{word}: {name} is there already; type {word.lstrip('+')}"
    node = OmegaConf.select(cfg, name, throw_on_resolution_failure=False)
    if isinstance(value := override.value(), dict):
        absent = [f"{name}.{key}" for key in value if f"{name}.{key}" not in keys]
        return f"{absent[0]} is no key of src.{config_name}{nearest(absent[0], keys)}" if absent else ""
    if OmegaConf.is_dict(node) and not override.is_delete():
        found = override.get_value_string()
        group = next((key for key in cfg.hydra.runtime.choices if key.endswith(f"@{name}")), None)
        such = next(iter(node), "KEY")
        instead = f"type {group}={found}" if group else f"set one of them, as in {name}.{such}=VALUE"
        return f"{word}: expected keys below {name}, found {found}; {instead}"
    return ""


def _is_near(key: str, name: str) -> bool:
    """Whether a key may be meant: none that the name stands below, and Hydra's own only for one of those."""
    return not name.startswith(f"{key}.") and key.startswith("hydra") == name.startswith("hydra")


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


def _is_combined(cfg: DictConfig, group: str) -> bool:
    """Whether options of the group stand beside each other, each below its own name, as loggers do."""
    node = OmegaConf.select(cfg, group)
    return OmegaConf.is_dict(node) and all(OmegaConf.is_dict(part) and "_target_" in part for part in node.values())


def _of_others(
    name: str, cfg: DictConfig, groups: dict[str, list[str]], config_name: str, chosen: Sequence[str]
) -> list[str]:
    """The options of the key's group that have it, where the chosen one has not."""
    group = name.partition(".")[0]
    found = []
    for option in groups.get(group, ()) if group in cfg.hydra.runtime.choices else ():
        try:
            other = composed(config_name, [*chosen, f"{group}={option}"])
        except (HydraException, OmegaConfBaseException):
            continue
        if name in _keys(other):
            found.append(f"{group}={option}")
    return found


def _beside(name: str, keys: Sequence[str]) -> str:
    """The keys that stand where this one would."""
    above = name.rpartition(".")[0]
    beside = [key for key in keys if key.rpartition(".")[0] == above]
    return f" (there are {', '.join(beside)})" if 0 < len(beside) <= MOST else ""


def _is_taken(cfg: DictConfig, key: str) -> bool:
    """Whether a key that conf/ does not set is an argument of what is built, such as one of lightning.Trainer's."""
    above, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, above) if above and not key.startswith("hydra.") else None
    target = node.get("_target_") if OmegaConf.is_dict(node) else None
    return target is not None and name in arguments(located(target))


def _keys(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in cfg:
        if str(key).startswith("_") or OmegaConf.is_missing(cfg, key):
            continue
        yield f"{prefix}{key}"
        if not OmegaConf.is_interpolation(cfg, key) and OmegaConf.is_dict(cfg[key]):
            yield from _keys(cfg[key], f"{prefix}{key}.")
