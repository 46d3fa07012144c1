"""Types of configuration values: what an error calls them, and whether a value has one, which pydantic checks."""

from __future__ import annotations

import importlib
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from src.utils.errors import InputError, nearest


class Effect(Enum):
    """How little a key changes: `Annotated[int, Effect.NONE]` marks it where it is declared, `marked` finds it."""

    NONE = "no result: a run with another value is the same run"
    ROUNDING = "no more than how numbers are rounded, and what a run costs: it suits the machine"
    TRAINING = "no weight's shape or meaning: a trained model may be used with another value"


Whole = Annotated[int, Ge(0)]
Count = Annotated[int, Ge(1)]
NotNegative = Annotated[float, Ge(0)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Dropout = Annotated[Share, Effect.TRAINING]
Jaccard = Annotated[float, Gt(0), Le(1)]
Node = Mapping[
    str, Any
]  # keys below a key: arguments of its `_target_`, or of the class that Annotated[Node, ...] names

NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "text", type(None): "null"}
OBJECT = "what a _target_ builds"
# true is no 1, "1" is no 1, and 1 is a number
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


def section(kind: Any) -> Callable[..., Any] | None:
    """The class or function in Annotated[..., it], or its name, whose arguments the keys below are."""
    for item in getattr(kind, "__metadata__", ()):
        if callable(item):
            return item
        if isinstance(item, str):  # by name: not imported before it is needed
            module, _, name = item.rpartition(".")
            return getattr(importlib.import_module(module), name)
    return None


def check_value(key: str, value: Any, kind: Any) -> None:
    """Raises InputError, with the nearest valid name, where the value does not have the type."""
    if (adapter := _adapter(kind)) is None:
        return
    try:
        adapter.validate_python(value)
    except ValidationError:
        valid = choices(kind)
        wrong = [item for item in (value if isinstance(value, list) else [value]) if item not in valid]
        hint = nearest(wrong[0], valid) if wrong and isinstance(wrong[0], str) else ""
        raise InputError(f"{key}: expected {described(kind)}, found {shown(value)}{hint}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter | None:
    """None for what is no plain value, such as a function: only a `_target_` can give one."""
    try:
        return TypeAdapter(kind, config=STRICT)
    except PydanticSchemaGenerationError:
        return None


def described(kind: Any) -> str:
    """`a whole number of 1 or more, auto or null`."""
    words = list(dict.fromkeys(_words(kind)))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words(kind: Any) -> Iterator[str]:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        members = get_args(kind)
        lists = [member for member in members if any(inside in members for inside in get_args(member))]
        plain = [word for member in members if member not in lists for word in _words(member) if word != OBJECT]
        plain += ["a list of these"] if lists else []
        yield from sorted(plain or [OBJECT], key="null".__eq__)  # null last
    elif origin is Annotated:
        yield described(get_args(kind)[0]) + _range(kind.__metadata__)
    elif origin is Literal:
        yield from (NAMES.get(type(None)) if item is None else str(item).lower() for item in get_args(kind))
    elif kind in NAMES:
        yield NAMES[kind]
    elif kind is Any or kind is object:
        yield "any value"
    elif isinstance(origin or kind, type) and issubclass(origin or kind, Mapping):
        values = get_args(kind)[1:]
        yield f"keys with {described(values[0])} each" if values and values[0] is not Any else "keys below it"
    elif getattr(origin or kind, "__iter__", None) is not None:
        inside = [item for item in get_args(kind) if item is not ...]
        yield f"a list of {described(inside[0])}" if inside else "a list"
    else:
        yield OBJECT


def _range(bounds: tuple[Any, ...]) -> str:
    """` above 0 and up to 1`."""
    words = []
    for bound in bounds:
        for name, before, after in (("gt", "above ", ""), ("ge", "of ", " or more"), ("lt", "below ", "")):
            if (number := getattr(bound, name, None)) is not None:
                words.append(f"{before}{number}{after}")
        if (number := getattr(bound, "le", None)) is not None:
            words.append(f"up to {number}")
    return f" {' and '.join(words)}" if words else ""


def choices(kind: Any) -> list[str]:
    """The words that are valid."""
    if get_origin(kind) is Literal:
        return [str(item) for item in get_args(kind) if item is not None]
    if kind is bool:
        return ["true", "false"]
    return [word for member in get_args(kind) if member is not kind for word in choices(member)]


def shown(value: Any, most: int = 80) -> str:
    """A value as a person typed it, on one line."""
    text = {"True": "true", "False": "false", "None": "null"}.get(repr(value), repr(value))
    return text if len(text) <= most else f"{text[:most]}..."
