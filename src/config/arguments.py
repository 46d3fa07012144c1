"""The arguments of a class or a function: names and types from its signature, sentences from its docstring.

So a key of the configuration has one home, the constructor that it is an argument of. `**options` is annotated with
whose arguments these are: `**options: Annotated[Any, lightning.Trainer]`, or `Annotated[Any, "of"]` for those of `of`.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

ENTRY = re.compile(r"^ {4}([\w*]+(?: ?, ?[\w*]+)*)(?: ?\([^)]*\))?: (.*)")
SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)[.](?=\s|$)")


@dataclass(frozen=True)
class Argument:
    """One argument of a class or a function."""

    annotation: Any  # Any where there is none
    required: bool
    sentence: str  # the first sentence of its description, empty where there is none


@cache
def arguments(of: Callable[..., Any]) -> Mapping[str, Argument]:
    """By name, in order, with those that `**options` passes on; `kwargs_key` is about `Annotated[Any, "of"]`."""
    function = _constructor(of)
    if function is object.__init__:
        return {}
    # The annotations of a dataclass's bases have to be read in the modules of these.
    hints = get_type_hints(of if is_dataclass(of) else function, include_extras=True)
    sentences = argument_sentences(of)
    found: dict[str, Argument] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = hints.get(name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            for other in getattr(annotation, "__metadata__", ()):
                if callable(other):
                    found |= {key: item for key, item in arguments(other).items() if key not in found}
        elif name != "self" and parameter.kind is not parameter.VAR_POSITIONAL:
            found[name] = Argument(annotation, parameter.default is parameter.empty, sentences.get(name, ""))
    return found


@cache
def marked(of: Callable[..., Any], *effects: Any) -> frozenset[str]:
    """Names of the arguments, and of the keys below them, that are marked with one of the effects (`types.Effect`)."""
    found: set[str] = set()
    seen: set[Callable[..., Any]] = set()
    left = [of]
    while left:
        if (one := left.pop()) in seen:
            continue
        seen.add(one)
        for name, item in arguments(one).items():
            metadata = list(_metadata(item.annotation))
            left += [other for other in metadata if callable(other)]
            if any(effect in metadata for effect in effects):
                found.add(name)
    return frozenset(found)


def _metadata(kind: Any) -> Iterator[Any]:
    """What `Annotated` adds to a type, or to one of the types of a union."""
    yield from getattr(kind, "__metadata__", ())
    for member in get_args(kind) if get_origin(kind) in (Annotated, Union, UnionType) else ():
        yield from _metadata(member)


def kwargs_key(of: Callable[..., Any]) -> str | None:
    """The argument whose own arguments `**options` are; empty where they are known, None where they may be any."""
    function = _constructor(of)
    # torch.nn.Module takes any, and then refuses them; torch.compile puts another constructor in its place.
    modules = ("torch.nn.modules.module", "torch._dynamo.mutation_guard")
    if function is object.__init__ or getattr(function, "__module__", "") in modules:
        return ""
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            metadata = getattr(get_type_hints(function, include_extras=True).get(name), "__metadata__", None)
            return None if metadata is None else next((item for item in metadata if isinstance(item, str)), "")
    return ""


def argument_sentences(of: Callable[..., Any]) -> dict[str, str]:
    """The first sentence about each argument, from the docstring's `Args:`; a class inherits those of its bases."""
    found: dict[str, str] = {}
    for owner in reversed(inspect.getmro(of)) if isinstance(of, type) else [of]:
        for text in (owner.__doc__, getattr(vars(owner).get("__init__"), "__doc__", "")) if owner is not object else ():
            own = _first_sentences(inspect.cleandoc(text or ""))
            # "as `Base`" refers to the sentence that was inherited
            found |= {key: text for key, text in own.items() if not (key in found and text.startswith("as "))}
    return found


def _constructor(of: Callable[..., Any]) -> Callable[..., Any]:
    return inspect.unwrap(getattr(of, "__init__") if isinstance(of, type) else of)  # noqa: B009 - unsound to mypy


def _first_sentences(docstring: str) -> dict[str, str]:
    """Name -> first sentence, of the section `Args:`."""
    found: dict[str, str] = {}
    names: list[str] = []
    lines = iter(docstring.splitlines())
    for line in lines:
        if line.strip() == "Args:":
            break
    for line in lines:
        if line.strip() and not line.startswith("    "):
            break
        if entry := ENTRY.match(line):
            names = [name.strip("* ") for name in entry[1].split(",")]
            found |= dict.fromkeys(names, entry[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    # In the words of a key's user, who knows null and not None.
    plain = {name: SENTENCE_END.split(text)[0].strip() for name, text in found.items()}
    return {name: text.replace("None", "null").replace("`", "") for name, text in plain.items()}
