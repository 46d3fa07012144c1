"""What --help prints: groups with their options, and every key with its value, its type and a sentence about it."""

import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, takewhile
from typing import Any

from src.config.arguments import Argument, arguments
from src.config.checks import HYDRA_KEYS, accepted_arguments
from src.config.commands import COMMANDS, free_words_key, sentence_of
from src.config.targets import CONF, locate_target
from src.config.types import class_of_section, describe_type, format_value

GROUPS_USAGE = """usage: python -m src.{command} [GROUP=OPTION ...] [KEY=VALUE ...]

--help with options shows their keys, as in {option} --help; --help {group} shows the keys of {group} alone.
--cfg job prints the configuration; -m KEY=A,B runs a grid."""
COLUMN = 52  # where types begin
GROUP_SENTENCES = {"experiment": "a complete recipe", "sweep": "a grid of runs, with -m"}


def help_text(command: str, cfg: Mapping[str, Any], options: Mapping[str, str | None], only: Sequence[str] = ()) -> str:
    """The help of a command, for the configuration that its command line composes.

    Args:
        cfg: plain values.
        options: the option of each group that the configuration has.
        only: the beginnings of keys to show; none: all.
    """
    of = COMMANDS[command]
    width = min(120, max(80, shutil.get_terminal_size((120, 40)).columns))
    sentences = {key: item.sentence for key, item in arguments(of).items()} | GROUP_SENTENCES
    groups = sorted(options, key=[*sentences].index)
    lines = [sentence_of(command), "", _usage(command, groups), *_examples(command)]
    lines += ["", "Groups (*: the option in use)"] if groups else []
    for group in groups:
        lines += [f"  {group:<12}{sentences[group]}", *_wrapped(_option_names(group, options[group]), width, 14)]
    first = ""
    for key, value, item in keys("", cfg, of):
        if only and not key.startswith(tuple(only)):
            continue
        if (top := key.partition(".")[0]) != first and ("." in key or not first):
            lines += ["", f"Keys of {top}" if "." in key else "Keys"]
        first = top if "." in key else first or top
        types = _wrapped(describe_type(item.annotation), width, COLUMN)
        lines += [f"  {f'{key}={value}':<{COLUMN - 3}} {types[0].strip()}", *types[1:]]
        lines += _wrapped(item.sentence, width, 6)
    return "\n".join(lines)


def keys(prefix: str, node: Mapping[str, Any], of: Callable[..., Any]) -> Iterator[tuple[str, str, Argument]]:
    """(key, value, argument) of all that is in the configuration; plain keys first, then those below others."""
    accepted = accepted_arguments(of, node)
    below: list[Iterator[tuple[str, str, Argument]]] = []
    for name in (name for name in accepted if name in node and name not in HYDRA_KEYS):
        value, item = node[name], accepted[name]
        inner = locate_target(value["_target_"]) if _is_built(value) else class_of_section(item.annotation)
        parts = [part for part in value if _is_built(value[part])] if isinstance(value, Mapping) else []
        if isinstance(value, Mapping) and inner:
            below.append(keys(f"{prefix}{name}.", value, inner))
        elif parts:  # such as loggers by name
            targets = {part: locate_target(value[part]["_target_"]) for part in parts}
            below += [keys(f"{prefix}{name}.{part}.", value[part], target) for part, target in targets.items()]
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) and value else format_value(value), item
    yield from chain.from_iterable(below)


def _usage(command: str, groups: Sequence[str]) -> str:
    if groups:
        option = f"{groups[0]}={_option_names(groups[0], None).split()[0]}"
        return GROUPS_USAGE.format(command=command, group=groups[0], option=option)
    key = free_words_key(command)
    return f"usage: python -m src.{command} {f'[{key.upper()} ...] ' if key else ''}[KEY=VALUE ...]"


def _examples(command: str) -> list[str]:
    """The commands in the comment that its yaml begins with."""
    lines = (CONF / f"{command}.yaml").read_text(encoding="utf-8").splitlines()
    comment = takewhile(lambda line: line.startswith("#"), lines)
    commands = [line.removeprefix("# ") for line in comment if line.startswith("# python -m")]
    return ["", *(f"  {line}" for line in commands)] if commands else []


def _is_built(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _option_names(group: str, chosen: str | None) -> str:
    paths = sorted((CONF / group).rglob("*.yaml"))
    names = [path.relative_to(CONF / group).with_suffix("").as_posix() for path in paths]
    return " ".join(f"{name}{'*' if name == chosen else ''}" for name in names)


def _wrapped(sentence: str, width: int, indent: int) -> list[str]:
    return textwrap.wrap(
        sentence, width, initial_indent=" " * indent, subsequent_indent=" " * indent, break_on_hyphens=False
    )
