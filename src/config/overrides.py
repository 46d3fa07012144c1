"""The words of a command line, for every command: flags, KEY=VALUE and free words, and what is wrong with one.

Nothing here imports Hydra before a value needs its grammar: src.search and src.serve must start at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.config.targets import CONF
from src.utils.errors import InputError, nearest

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

HELP, CFG = "--help", "--cfg"
NO_VALUE, VALUE, OPTIONAL_VALUE = range(3)
# Hydra's flags, and whether a value follows: https://hydra.cc/docs/advanced/hydra-command-line-flags
SWITCHES = (HELP, "--hydra-help", "--version", "--resolve", "--run", "--multirun", "--shell-completion")
VALUED = (CFG, "--package", "--config-path", "--config-name", "--config-dir", "--experimental-rerun")
FLAGS = dict.fromkeys(SWITCHES, NO_VALUE) | dict.fromkeys(VALUED, VALUE) | {"--info": OPTIONAL_VALUE}
SHORT = {
    "-h": HELP,
    "-r": "--run",
    "-m": "--multirun",
    "-sc": "--shell-completion",
    "-c": CFG,
    "-p": "--package",
    "-cp": "--config-path",
    "-cn": "--config-name",
    "-cd": "--config-dir",
    "-i": "--info",
}
BRACKETS = {"(": ")", "[": "]", "{": "}"}
MOST_LISTED = 16  # names in an error that lists all of them
ASSIGNMENT = re.compile(r"([+~]*)([^=\s]*)=(.*)", re.DOTALL)
INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
PLAIN_TEXT = re.compile(r"(?:[A-Za-z_/~*]|\.{1,2}/)[\w./~*?@%|+:-]*")  # which no number, list or quotation begins with
CONSTANTS = {"null": None, "true": True, "false": False}


@dataclass
class CommandLine:
    """The words of a command line.

    Args:
        flags: value by long name; empty for a flag without one.
        flag_words: the words that these flags were typed with.
        words: everything else, in order.
    """

    flags: dict[str, str] = field(default_factory=dict)
    flag_words: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def split_words(words: Sequence[str], flags: Mapping[str, int] = FLAGS) -> CommandLine:
    """Tells flags from other words, wherever they stand. Raises InputError for a flag that does not exist."""
    line = CommandLine()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-" or word[1:2].isdigit():
            line.words.append(word)
            continue
        name, equals, value = word.partition("=")
        flag = SHORT.get(name, name)
        if flag not in flags:
            hint = nearest(name, flags) or f"; there are {', '.join(flags)}"
            raise InputError(
                f"{word} is no flag{hint}" + (f"; a key has no dashes: {word.lstrip('-')}" if equals else "")
            )
        line.flag_words.append(word)
        is_next = rest and not rest[0].startswith("-") and (flags[flag] == VALUE or "=" not in rest[0])
        if not equals and flags[flag] != NO_VALUE and is_next:
            value = rest.pop(0)
            line.flag_words.append(value)
        elif flags[flag] == VALUE and not value:
            raise InputError(f"{word}: expected a value after it, found nothing")
        line.flags[flag] = value
    return line


def check_overrides(words: Sequence[str], config_name: str) -> list[str]:
    """The words with keys last, since Hydra takes none after a flag that follows one (`seed=1,2 -m loss=bce`).

    Raises InputError for the first word that Hydra would not read, or would read as something else than was meant.
    Before Hydra composes anything: neither that a key exists nor that a value has its type is looked at.
    """
    line = split_words(words)
    for flag in ("--config-name", "--config-path"):
        if flag in line.flags:
            raise InputError(
                f"{flag}: src.{config_name} reads conf/{config_name}.yaml and no other; keys go "
                "on the command line, options of your own into a folder that --config-dir names"
            )
    groups = options_of_groups(line.flags.get("--config-dir"))
    for word in line.words:
        _check_override(word, groups, "--multirun" in line.flags)
    return [*line.flag_words, *line.words]


def options_of_groups(config_dir: str | None = None) -> dict[str, list[str]]:
    """The options of every group, in conf/ and in the folder of --config-dir."""
    found: dict[str, set[str]] = {}
    for root in (CONF, *([Path(config_dir)] if config_dir else ())):
        for folder in (path for path in root.rglob("*") if path.is_dir()):
            options = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")}
            found.setdefault(folder.relative_to(root).as_posix(), set()).update(options)
    return {group: sorted(options) for group, options in found.items()}


def _check_override(word: str, groups: dict[str, list[str]], multirun: bool) -> None:
    key, equals, text = word.partition("=")
    name = key.lstrip("+~")
    if not equals and not word.startswith("~"):
        options = f"; the options of {name} are {', '.join(groups[name])}" if name in groups else ""
        raise InputError(f"{word!r}: expected KEY=VALUE without blanks around =, found no ={options}")
    if equals and not name:
        raise InputError(f"{word!r}: expected KEY=VALUE, found no key before =")
    if equals and not text:
        raise InputError(no_value(key))
    override = read_override(word, multirun, is_group=name in groups)
    if name in groups and not override.is_sweep_override() and not override.is_delete():
        value = override.value()
        chosen: list[Any] = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in chosen):
            found = "null, so leave the word out for none" if value is None else text
            raise InputError(f"{word}: expected an option of {name} ({', '.join(groups[name])}), found {found}")
        if wrong := [item for item in chosen if item.endswith(".yaml")]:
            raise InputError(f"{word}: an option has no .yaml{nearest(wrong[0], groups[name])}")


def read_override(word: str, multirun: bool = False, is_group: bool = False) -> Override:
    """KEY=VALUE in Hydra's grammar. Raises InputError where it is none, or where it is a sweep without -m."""
    from hydra.core.override_parser.overrides_parser import OverridesParser  # takes as long as OmegaConf to import
    from hydra.errors import HydraException

    key, _, text = word.partition("=")
    try:
        override = OverridesParser.create().parse_override(word)
        override.value()
    except (HydraException, ValueError):
        raise InputError(_unreadable(word, key, text)) from None
    if override.is_sweep_override() and not multirun:
        a_list = "" if is_group else f", and a list is typed {key}=[{text}]"
        raise InputError(f"{word}: expected one value, found several; to run one job per value add -m{a_list}")
    return override


def read_value(key: str, text: str) -> Any:
    """The value of KEY=text. Plain text and whole numbers are recognised here; Hydra's grammar reads the rest."""
    if not text:
        raise InputError(no_value(key))
    if text.lower() in CONSTANTS:
        return CONSTANTS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    if PLAIN_TEXT.fullmatch(text):
        return text
    return read_override(f"{key}={text}").value()


def no_value(key: str) -> str:
    """The error of a key without a value."""
    return f"{key}=: expected a value after =, found nothing; type {key}=null for none, \"{key}=''\" for an empty text"


def no_such_key(name: str, keys: Sequence[str], command: str, near: Sequence[str] | None = None) -> str:
    """The error of a key that does not exist.

    Args:
        keys: the keys that exist; those at the same level are listed if no name is near.
        near: the names that may be meant, where those are not `keys`.
    """
    above = name.rpartition(".")[0]
    siblings = [key for key in keys if key.rpartition(".")[0] == above]
    listed = f" (there are {', '.join(siblings)})" if 0 < len(siblings) <= MOST_LISTED else ""
    hint = nearest(name, keys if near is None else near) or listed
    return f"{name} is no key of src.{command}{hint}; --help lists them"


def _unreadable(word: str, key: str, text: str) -> str:
    """The error of a word that Hydra's grammar does not have."""
    if any(text.count(left) > text.count(right) for left, right in BRACKETS.items()):
        return f"{word}: a bracket is never closed; a value with blanks is quoted, as in '{key}=[a, b]'"
    return (
        f"{word}: {text!r} is no value as it stands; text with characters such as ~ ( ) [ ] , = is quoted, as in "
        f"'{key}=\"{text}\"'"
    )
