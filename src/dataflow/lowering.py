"""From a syntax tree to its tokens and a program for the abstract machine, in one walk without recursion.

A rule replaces a node by the items to visit instead of it, in source order. An item is a node or an action: a function
of what has been lowered so far.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto

from tree_sitter import Node

from src.dataflow.flow import Step

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
    """The tokens and the program of one function."""

    def __init__(self, source: str) -> None:
        self.source = source  # the parsed bytes, one character per byte
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
                text = source[item.start_byte : item.end_byte]
                if meaning is OTHER and (children := item.children):
                    frames.append(iter(children))
                    break
                if not isinstance(meaning, Leaf):
                    frames.append(iter(meaning(item)))
                    break
                if meaning is NAME:
                    variables.append(len(tokens))
                    program.append(len(tokens))
                elif meaning is not KEYWORD:
                    if not text:  # the root of empty code
                        continue
                    if text != item.type:  # not for `this` and `null`, which are keywords
                        variables.append(len(tokens))
                        program.append(~len(tokens))
                tokens.append(text)
            else:
                frames.pop()
