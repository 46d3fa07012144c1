"""From a syntax tree to its tokens and a program for the abstract machine, in one walk without recursion.

A rule replaces a node by the items to visit instead of it, in source order. An item is a node or an action: a function
of what has been lowered so far. Rules consist of the actions in this file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import cache
from itertools import pairwise
from typing import Any

from tree_sitter import Node

from src.dataflow.flow import Definition, Flow, Step

Action = Callable[["Lowering"], None]
Item = Node | Action
Rule = Callable[[Node], Sequence[Item]]


class Leaf(Enum):
    """The meaning of a kind of node without a rule."""

    NAME = auto()  # one token, which defines a variable unless an earlier token has
    WHOLE = auto()  # one token, even if the grammar divides it, such as a string
    KEYWORD = auto()  # one token that never has a value: keywords and punctuation
    OTHER = auto()  # its children; without children, a token that has a value


NAME, WHOLE, KEYWORD, OTHER = Leaf
Meanings = Sequence[Rule | Leaf] | Mapping[int, Rule | Leaf]


class Lowering:
    """The tokens and the program of one function.

    Args:
        source: the parsed bytes, one character per byte.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens: list[str] = []
        self.variables: list[int] = []  # tokens that have a value: all leaves except keywords and punctuation
        self.program: list[Step] = []
        self.marks: list[tuple[int, int]] = []  # lengths of `variables` and `program`
        self.targets: list[list[int]] = []
        self.sources: list[list[int]] = []

    def lower(self, roots: Iterable[Node], meanings: Meanings) -> None:
        """Lowers trees one after the other; `meanings` has that of each kind of node."""
        source, tokens, variables, program = self.source, self.tokens, self.variables, self.program
        frames: list[Iterator[Item]] = [iter(roots)]
        while frames:
            for item in frames[-1]:
                if not isinstance(item, Node):
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
                elif not isinstance(meaning, Leaf):
                    frames.append(iter(meaning(item)))
                    break
                text = source[item.start_byte : item.end_byte]
                if not text:  # the root of empty code
                    continue
                if text != item.type:  # not for `this` and `null`, which are keywords
                    variables.append(len(tokens))
                    program.append(~len(tokens))
                tokens.append(text)
            else:
                frames.pop()


def mark(lowering: Lowering) -> None:
    """Opens a group of items, which one of the next five actions closes."""
    lowering.marks.append((len(lowering.variables), len(lowering.program)))


def end_sources(lowering: Lowering) -> None:
    """The variables of the group are sources."""
    variables, _ = lowering.marks.pop()
    lowering.sources.append(lowering.variables[variables:])


def end_targets(lowering: Lowering) -> None:
    """The variables of the group are targets and not uses."""
    variables, program = lowering.marks.pop()
    lowering.targets.append(lowering.variables[variables:])
    del lowering.program[program:]


def end_updated(lowering: Lowering) -> None:
    """The variables of the group are both targets and sources."""
    end_targets(lowering)
    lowering.sources.append(lowering.targets[-1])


def end_ignored(lowering: Lowering) -> None:
    """The variables of the group are neither targets nor uses."""
    del lowering.program[lowering.marks.pop()[1] :]


def no_sources(lowering: Lowering) -> None:
    """The next definition has no sources."""
    lowering.sources.append([])


@cache
def define(operation: Callable[[Flow, Definition], None], relation: str, count: int = 1) -> Action:
    """The action that defines each of the last `count` targets by its own of the last `count` sources."""

    def action(lowering: Lowering) -> None:
        for targets, sources in zip(lowering.targets[-count:], lowering.sources[-count:], strict=True):
            lowering.program.append((operation, (relation, targets, sources)))
        del lowering.targets[-count:], lowering.sources[-count:]

    return action


def emit(operation: Callable[[Flow, Any], None], argument: Any = None) -> Action:
    """The action that appends a step."""
    return lambda lowering: lowering.program.append((operation, argument))


def end_loop(lowering: Lowering) -> None:
    """Closes two groups: a loop runs the steps of the first one once, and those of the second one again."""
    _, again = lowering.marks.pop()
    _, start = lowering.marks.pop()
    program = lowering.program
    program[start:] = [(Flow.loop, (program[start:], program[again:]))]


def reorder(order: list[int]) -> Action:
    """The action that closes the last `len(order)` groups and sorts their steps: group `order[0]` comes first."""

    def action(lowering: Lowering) -> None:
        starts = [start for _, start in lowering.marks[-len(order) :]]
        del lowering.marks[-len(order) :]
        program = lowering.program
        pieces = [program[start:end] for start, end in pairwise([*starts, len(program)])]
        program[starts[0] :] = [step for piece in order for step in pieces[piece]]

    return action
