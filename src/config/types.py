"""Types of configuration values: how an error names them, and whether a value has one, which pydantic checks."""

import importlib
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
# keys below a key: arguments of its `_target_`, or of the class that Annotated[Node, ...] names
Node = Mapping[str, Any]


@dataclass(frozen=True)
class FreeWords:
    """Marks, in Annotated[..., FreeWords()], the key that takes the words that are not KEY=VALUE."""


NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "text", type(None): "null"}
OBJECT = "what a _target_ builds"
# true is no 1, "1" is no 1, and 1 is a number
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)


def class_of_section(annotation: Any) -> Callable[..., Any] | None:
    """The class or function in Annotated[..., it], or its name, whose arguments are the keys below this one."""
    for item in getattr(annotation, "__metadata__", ()):
        if callable(item):
            return item
        if isinstance(item, str):  # by name: not imported before it is needed
            module, _, name = item.rpartition(".")
            return getattr(importlib.import_module(module), name)
    return None


def check_value(key: str, value: Any, annotation: Any) -> None:
    """Raises InputError, with the nearest valid name, where the value does not have the type."""
    if (adapter := _adapter(annotation)) is None:
        return
    try:
        adapter.validate_python(value)
    except ValidationError:
        valid = literal_values(annotation)
        wrong = [item for item in (value if isinstance(value, list) else [value]) if item not in valid]
        hint = nearest(wrong[0], valid) if wrong and isinstance(wrong[0], str) else ""
        expected = describe_type(annotation)
        raise InputError(f"{key}: expected {expected}, found {format_value(value)}{hint}") from None


@cache
def _adapter(annotation: Any) -> TypeAdapter | None:
    """None for what is no plain value, such as a function: only a `_target_` can give one."""
    try:
        return TypeAdapter(annotation, config=STRICT)
    except PydanticSchemaGenerationError:
        return None


def describe_type(annotation: Any) -> str:
    """`a whole number of 1 or more, auto or null`."""
    names = list(dict.fromkeys(_type_names(annotation)))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _type_names(annotation: Any) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        members = get_args(annotation)
        lists = [member for member in members if any(item in members for item in get_args(member))]
        plain = [name for member in members if member not in lists for name in _type_names(member) if name != OBJECT]
        plain += ["a list of these"] if lists else []
        yield from sorted(plain or [OBJECT], key="null".__eq__)  # null last
    elif origin is Annotated:
        yield describe_type(get_args(annotation)[0]) + _describe_range(annotation.__metadata__)
    elif origin is Literal:
        yield from ("null" if item is None else str(item).lower() for item in get_args(annotation))
    elif annotation in NAMES:
        yield NAMES[annotation]
    elif annotation is Any or annotation is object:
        yield "any value"
    elif isinstance(origin or annotation, type) and issubclass(origin or annotation, Mapping):
        values = get_args(annotation)[1:]
        yield f"keys with {describe_type(values[0])} each" if values and values[0] is not Any else "keys below it"
    elif getattr(origin or annotation, "__iter__", None) is not None:
        items = [item for item in get_args(annotation) if item is not ...]
        yield f"a list of {describe_type(items[0])}" if items else "a list"
    else:
        yield OBJECT


def _describe_range(bounds: tuple[Any, ...]) -> str:
    """` above 0 and up to 1`."""
    forms = {"gt": "above {}", "ge": "of {} or more", "lt": "below {}", "le": "up to {}"}
    numbers = [(form, getattr(bound, name, None)) for bound in bounds for name, form in forms.items()]
    words = [form.format(number) for form, number in numbers if number is not None]
    return f" {' and '.join(words)}" if words else ""


def literal_values(annotation: Any) -> list[str]:
    """The words that are valid values, where a type names some."""
    if get_origin(annotation) is Literal:
        return [str(item) for item in get_args(annotation) if item is not None]
    if annotation is bool:
        return ["true", "false"]
    return [word for member in get_args(annotation) if member is not annotation for word in literal_values(member)]


def format_value(value: Any) -> str:
    """A value as a person types it, on one line of at most 80 characters."""
    text = {"True": "true", "False": "false", "None": "null"}.get(repr(value), repr(value))
    return text if len(text) <= 80 else f"{text[:80]}..."
