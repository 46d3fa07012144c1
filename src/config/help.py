"""What --help prints: groups with their options, and every key with its value, its type and a sentence about it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.config.arguments import Argument, arguments
from src.config.checks import HYDRA_KEYS, taken
from src.config.commands import COMMANDS
from src.config.targets import CONF, located
from src.config.types import described, section, shown

USAGE = "usage: python -m src.{command} [GROUP=OPTION ...] [KEY=VALUE ...]"
MORE = """
--help with options shows their keys, as in {option} --help; --help {group} shows the keys of {group} alone.
--cfg job prints the configuration; -m KEY=A,B runs a grid."""
KEYS_ALONE = "usage: python -m src.{command} [KEY=VALUE ...]"
COLUMN = 52  # where types begin
EXTRA = {"experiment": "a complete recipe", "sweep": "a grid of runs, with -m"}


def text(
    command: str, cfg: DictConfig, choices: Mapping[str, str | None], only: Sequence[str] = (), usage: str = ""
) -> str:
    """The help of a command, for the configuration that its command line composes.

    Args:
        choices: the option of each group that the configuration has.
        only: the beginnings of keys to show; none: all.
        usage: how it is typed, where that is not as everywhere.
    """
    of = COMMANDS[command]
    width = min(120, max(80, shutil.get_terminal_size((120, 40)).columns))
    about = {key: item.about for key, item in arguments(of).items()} | EXTRA
    usage = usage or (f"{USAGE}\n{MORE}" if choices else KEYS_ALONE)
    group = next(iter(sorted(choices, key=[*about].index)), "")
    option = f"{group}={_options(group, None).split()[0]}" if group else ""
    usage = usage.format(command=command, group=group, option=option)
    lines = [of.__doc__.splitlines()[0], "", usage, *_examples(command)]
    lines += ["", "Groups (*: the option in use)"] if choices else []
    for group in sorted(choices, key=[*about].index):
        lines += [f"  {group:<12}{about[group]}", *_wrapped(_options(group, choices[group]), width, 14)]
    first = ""
    for key, value, item in keys("", cfg, of):
        if only and not key.startswith(tuple(only)):
            continue
        if (top := key.partition(".")[0]) != first and ("." in key or not first):
            lines += ["", f"Keys of {top}" if "." in key else "Keys"]
        first = top if "." in key else first or top
        kind = _wrapped(described(item.kind), width, COLUMN)
        lines += [f"  {f'{key}={value}':<{COLUMN - 3}} {kind[0].strip()}", *kind[1:]]
        lines += _wrapped(item.about, width, 6)
    return "\n".join(lines)


def _examples(command: str) -> list[str]:
    """Of the comment that its yaml begins with."""
    said = (CONF / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    typed = [line.removeprefix("# ") for line in said if line.startswith("# python -m")]
    return ["", *(f"  {line}" for line in typed)] if typed else []


def keys(prefix: str, node: DictConfig, of: Callable[..., Any]) -> Iterator[tuple[str, str, Argument]]:
    """(key, value, argument) of all that is in the configuration; plain keys first, then those below others."""
    takes = taken(of, node)
    below = []
    for name in (name for name in takes if name in node and name not in HYDRA_KEYS):
        value, item = _value(node, name), takes[name]
        inner = located(value["_target_"]) if _is_built(value) else section(item.kind)
        parts = [part for part in value if _is_built(_value(value, part))] if isinstance(value, DictConfig) else []
        if isinstance(value, DictConfig) and inner:
            below.append((f"{prefix}{name}.", value, inner))
        elif parts:  # such as loggers by name
            below += [(f"{prefix}{name}.{part}.", value[part], located(value[part]["_target_"])) for part in parts]
        else:
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            yield f"{prefix}{name}", plain if isinstance(plain, str) and plain else shown(plain), item
    for deeper in below:
        yield from keys(*deeper)


def _is_built(value: Any) -> bool:
    return isinstance(value, DictConfig) and "_target_" in value


def _value(node: DictConfig, name: str) -> Any:
    """What refers to a key that this command does not have is shown as it is written."""
    try:
        return node[name]
    except Exception:  # OmegaConf's many kinds of a reference that does not resolve
        return OmegaConf.to_container(node, resolve=False)[name]


def _options(group: str, chosen: str | None) -> str:
    paths = sorted((CONF / group).rglob("*.yaml"))
    names = [Path(path).relative_to(CONF / group).with_suffix("").as_posix() for path in paths]
    return " ".join(f"{name}{'*' if name == chosen else ''}" for name in names)


def _wrapped(sentence: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(
        sentence, width, initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    )
