"""Entry points that must start at once: a configuration of conf/ without Hydra's application and without Lightning.

`python -m src.search index=DIR "words of a query" top=5 --json`: key=value as everywhere, flags for keys that are true
or false, and whatever is left are the words of one key.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from src.utils.errors import InputError, UserError, nearest

CONF = Path(__file__).parents[2] / "conf"
_OVERRIDE = re.compile(r"\+*([A-Za-z_]\w*)=(.*)", re.DOTALL)


def run(task: Callable[[DictConfig], Any], config_name: str, words: str | None = None) -> None:
    """Runs `task` with conf/<config_name>.yaml and the command line; one line for every mistake, exit status 2.

    Args:
        words: the key that takes what is neither key=value nor a flag.
    """
    try:
        cfg = configured(config_name, sys.argv[1:], words)
        if cfg is not None:
            task(cfg)
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError):  # `| head` has read enough
            sys.stdout = None
            sys.exit(0)
        hint = "" if isinstance(error, UserError) else "; is the path right and writable?"
        print(f"error: {' '.join(str(error).split())}{hint}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def configured(config_name: str, arguments: Sequence[str], words: str | None = None) -> DictConfig | None:
    """The configuration; None where only --help or --cfg was asked for, which is then printed.

    Raises InputError for a key that does not exist, a flag that is none, or words that nothing takes.
    """
    path = CONF / f"{config_name}.yaml"
    cfg = OmegaConf.load(path)
    flags = [key for key, value in cfg.items() if isinstance(value, bool)]
    free: list[str] = []
    given = list(arguments)
    while given:
        argument = given.pop(0)
        if argument in ("--help", "-h"):
            print(_help(config_name, cfg, flags, words))
            return None
        if argument in ("--cfg", "-c"):
            print(OmegaConf.to_yaml(cfg), end="")
            return None
        if argument.startswith("--"):
            key = argument[2:].replace("-", "_")
            if key not in flags:
                options = [f"--{flag}" for flag in flags]
                raise InputError(
                    f"no option {argument}: expected {', '.join(options) or 'key=value'}{nearest(argument, options)}"
                )
            cfg[key] = True
        elif match := _OVERRIDE.fullmatch(argument):
            key, value = match[1], match[2]
            if key not in cfg:
                if words and " " in argument:  # a query such as `open a = b`
                    free.append(argument)
                    continue
                keys = list(cfg)
                raise InputError(f"no key {key!r}: expected one of {', '.join(keys)}{nearest(key, keys)}")
            if not value and key != words:
                raise InputError(f"{key}=: expected a value after =, found nothing; type {key}=null for none")
            cfg[key] = value if key == words else _value(value)
        else:
            free.append(argument)
    if free and words is None:
        raise InputError(f"expected key=value, found {free[0]!r}; see --help")
    if free:
        cfg[words] = " ".join(free)
    return cfg


def _value(text: str) -> Any:
    """As YAML, where it is that; patterns such as *.py are none."""
    if re.fullmatch(r"\[.*\]", text, re.DOTALL):
        return [_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() in ("null", "none", ""):
        return None if text.lower() != "none" else "none"
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    return text


def _help(config_name: str, cfg: DictConfig, flags: Sequence[str], words: str | None) -> str:
    from src.config.help import text

    free = [f"[{words.upper()} ...]"] if words else []
    options = [f"[--{flag}]" for flag in flags]
    usage = " ".join([f"usage: python -m src.{config_name}", *free, "[KEY=VALUE ...]", *options])
    return text(config_name, cfg, {}, usage=usage)
