"""From a syntax tree to its tokens and a program for the abstract machine, in one walk without recursion.

A rule says what a node means: it turns the node into the items to visit in its place, in source order. An item is a
node or an action, a function of what has been lowered so far. The actions here are all that rules are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import cache, partial
from itertools import pairwise
from typing import Any

from tree_sitter import Node

from src.dataflow.flow import Definition, Flow, Step

Action = Callable[["Lowering"], None]
Item = Node | Action
Rule = Callable[[Node], list[Item]]


class Leaf(Enum):
    """What a kind of node without a rule means."""

    NAME = auto()  # one token; it defines a variable when it is the first to name it
    WHOLE = auto()  # one token whatever the grammar finds inside, a string
    KEYWORD = auto()  # one token that never stands for a value: keywords and punctuation
    OTHER = auto()  # what its children mean; without any, a token that stands for a value


NAME, WHOLE, KEYWORD, OTHER = Leaf
Meanings = Sequence[Rule | Leaf] | Mapping[int, Rule | Leaf]


class Lowering:
    """The tokens and the program of one function.

    Args:
        source: the bytes that were parsed, each as one character.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens: list[str] = []
        self.variables: list[int] = []  # tokens that stand for a value: all leaves but keywords and punctuation
        self.program: list[Step] = []
        self.marks: list[tuple[int, int]] = []  # lengths of `variables` and `program`
        self.targets: list[list[int]] = []
        self.sources: list[list[int]] = []

    def lower(self, roots: Iterable[Node], meanings: Meanings) -> None:
        """Lowers trees one after the other; `meanings` are by kind of node."""
        source, tokens, variables, program = self.source, self.tokens, self.variables, self.program
        frames: list[Iterator[Item]] = [iter(roots)]
        while frames:
            for item in frames[-1]:
                if item.__class__ is not Node:
                    item(self)
                    continue
                meaning = meanings[item.kind_id]
                if meaning is KEYWORD:
                    tokens.append(source[item.start_byte : item.end_byte])
                    continue
                if meaning is NAME:
                    variables.append(len(tokens))
                    program.append(len(tokens))
                    tokens.append(source[item.start_byte : item.end_byte])
                    continue
                if meaning is OTHER:
                    if children := item.children:
                        frames.append(iter(children))
                        break
                elif meaning is not WHOLE:
                    frames.append(iter(meaning(item)))
                    break
                text = source[item.start_byte : item.end_byte]
                if not text:  # the root of empty code
                    continue
                if text != item.type:  # `this`, `null`: words of the language
                    variables.append(len(tokens))
                    program.append(~len(tokens))
                tokens.append(text)
            else:
                frames.pop()


def mark(lowering: Lowering) -> None:
    """Remembers this moment for the action that closes it, one of the following."""
    lowering.marks.append((len(lowering.variables), len(lowering.program)))


def read(lowering: Lowering) -> None:
    """The variables since the mark are sources."""
    variables, _ = lowering.marks.pop()
    lowering.sources.append(lowering.variables[variables:])


def written(lowering: Lowering) -> None:
    """The variables since the mark are targets, not uses."""
    variables, program = lowering.marks.pop()
    lowering.targets.append(lowering.variables[variables:])
    del lowering.program[program:]


def updated(lowering: Lowering) -> None:
    """The variables since the mark are both."""
    written(lowering)
    lowering.sources.append(lowering.targets[-1])


def ignored(lowering: Lowering) -> None:
    """The variables since the mark are neither."""
    del lowering.program[lowering.marks.pop()[1] :]


def unset(lowering: Lowering) -> None:
    """There are no sources."""
    lowering.sources.append([])


@cache
def defines(operation: Callable[[Flow, Definition], None], relation: str, count: int = 1) -> Action:
    """The action that defines the last `count` targets by the last `count` sources, each by its own."""

    def define_one(lowering: Lowering) -> None:
        lowering.program.append((operation, (relation, lowering.targets.pop(), lowering.sources.pop())))

    def define_all(lowering: Lowering) -> None:
        for targets, sources in zip(lowering.targets[-count:], lowering.sources[-count:], strict=True):
            lowering.program.append((operation, (relation, targets, sources)))
        del lowering.targets[-count:], lowering.sources[-count:]

    return define_one if count == 1 else define_all


def emits(operation: Callable[[Flow, Any], None], argument: Any = None) -> Action:
    """The action that appends a step."""
    return partial(_append, step=(operation, argument))


def _append(lowering: Lowering, step: Step) -> None:
    lowering.program.append(step)


def loops(lowering: Lowering) -> None:
    """The steps since the last mark are repeated; those between the mark before and the last only start the loop."""
    _, again = lowering.marks.pop()
    _, start = lowering.marks.pop()
    program = lowering.program
    program[start:] = [(Flow.loop, (program[start:], program[again:]))]


def reorders(order: list[int]) -> Action:
    """The action that sorts what was lowered since the last `len(order)` marks: piece `order[0]` comes first."""

    def action(lowering: Lowering) -> None:
        starts = [start for _, start in lowering.marks[-len(order) :]]
        del lowering.marks[-len(order) :]
        program = lowering.program
        pieces = [program[start:end] for start, end in pairwise([*starts, len(program)])]
        program[starts[0] :] = [step for piece in order for step in pieces[piece]]

    return action
