"""Runs commands that need no run directory of Hydra's: they start at once, without Hydra and without Lightning.

`python -m src.search index=DIR "words of a query" top=5`: KEY=VALUE as everywhere, read by the same functions, into the
command's dataclass; the words that are not KEY=VALUE go to the key that is marked with FreeWords.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from src.config.arguments import Argument, arguments
from src.config.checks import check_keys
from src.config.commands import COMMANDS, free_words_key
from src.config.overrides import ASSIGNMENT, CFG, FLAGS, HELP, no_such_key, read_value, split_words
from src.config.targets import CONF, read_yaml
from src.config.types import describe_type
from src.utils.errors import InputError, UserError, message_of, nearest


def run(task: Callable[[Any], object], command: str) -> None:
    """Runs `task` with the command's keys; an error in them is one line and exit status 2."""
    try:
        if (keys := read_keys(command, sys.argv[1:])) is not None:
            task(keys)
    except BrokenPipeError:  # `| head` has read enough
        sys.stdout = None  # python would complain at its end that it cannot flush
        sys.exit(0)
    except (UserError, OSError) as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def read_keys(command: str, typed: Sequence[str]) -> Any:
    """The command's dataclass, from conf/<command>.yaml and the command line.

    None where only --help or --cfg was asked for, which is then printed. Raises InputError for a key or a flag that
    does not exist, a value of another type, or words that no key takes.
    """
    accepted = arguments(COMMANDS[command])
    values = read_yaml(CONF / f"{command}.yaml")
    _refuse_keys_with_dashes(typed, accepted)
    line = split_words(typed, {flag: FLAGS[flag] for flag in (HELP, CFG)})
    free_key = free_words_key(command)
    free_words = []
    for word in line.words:
        match = ASSIGNMENT.fullmatch(word)
        key, text = (match[2], match[3]) if match else ("", "")
        if key in accepted:
            is_query = key == free_key and not _takes_list(accepted[key])
            values[key] = text if is_query or _is_plain_text(accepted[key], text) else read_value(key, text)
        elif key.isidentifier() and not (free_key and " " in word):  # a query such as `open a = b` is none
            raise InputError(no_such_key(key, list(accepted), command))
        elif free_key or HELP in line.flags:
            free_words.append(word)
        else:
            raise InputError(f"expected KEY=VALUE, found {word!r}; --help lists the keys")
    if HELP in line.flags:
        from src.config.help import help_text

        print(help_text(command, values, {}, only=free_words))
        return None
    if free_words and free_key:
        values[free_key] = free_words if _takes_list(accepted[free_key]) else " ".join(free_words)
    check_keys("", values, COMMANDS[command])
    if CFG in line.flags:
        print(yaml.safe_dump(values, sort_keys=False), end="")
        return None
    return COMMANDS[command](**values)


def _refuse_keys_with_dashes(typed: Sequence[str], accepted: Mapping[str, Argument]) -> None:
    """Raises InputError, with what to type instead, for --key and --no-key: some commands had them."""
    for word in typed:
        flag, _, value = word.partition("=")
        if not flag.startswith("--") or flag in (HELP, CFG):
            continue
        key = flag.removeprefix("--").replace("-", "_").removeprefix("no_")
        if key not in accepted:
            near = nearest(key, accepted) or nearest(flag, (HELP, CFG))
            raise InputError(f"{flag} is no flag: keys are typed as KEY=VALUE{near}")
        switch = "false" if flag.startswith("--no-") else "true"
        text = value or (switch if accepted[key].annotation is bool else "VALUE")
        raise InputError(f"{flag} is no flag: type {key}={text}")


def _takes_list(argument: Argument) -> bool:
    return "a list of" in describe_type(argument.annotation)


def _is_plain_text(argument: Argument, text: str) -> bool:
    """Whether the text is the value as it stands: where a key takes only text, commas and digits need no quotes."""
    is_text = describe_type(argument.annotation) in ("text", "text or null")
    return is_text and text.lower() not in ("", "null") and text[0] not in "'\""
