"""The abstract machine: runs a lowered function over a map of variable -> tokens of its last definitions.

A program (made by `lowering`) is a list of steps. The step n >= 0 is a use of the identifier at token n; the step ~n is
a use of another named leaf (a literal, a type), which reads what is known by its text but never defines it. Any other
step is a pair: an operation of `Flow` and its argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

COMES, COMPUTED = "comesFrom", "computedFrom"

Edge = list[Any]  # [variable, token index, comesFrom | computedFrom, [parent names], [parent token indices]]
Step = int | tuple[Callable[["Flow", Any], Any], Any]
NONE: list[int] = []  # shared, and like every list of a state never changed
State = dict[str, list[int]]  # variable -> tokens of its last definitions, ascending
Definition = tuple[str, list[int], list[int]]  # relation, targets, sources


class Flow:
    """One run: branches merge their states, loops run twice, what is found twice is united."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.state: State = {}
        self.uses: dict[int, list[int]] = {}  # token -> the definitions it may come from
        self.definitions: list[tuple[str, int, list[int]]] = []  # relation, token, sources; outside loops
        self.united: dict[tuple[str, int], set[int]] = {}  # relation, token -> sources; inside loops
        self.depth = 0  # of loops
        self.branches: list[
            tuple[State, list[State]]
        ] = []  # of each open one: the state before it, those after its arms
        self.passed: dict[int, tuple[State, State]] = {}  # an inner loop's last entry and exit

    def run(self, program: list[Step]) -> list[Edge]:
        """The edges of the program, in canonical order; see `canonical`."""
        frames: list[Iterator[Step]] = [
            iter(program)
        ]  # instead of recursion: loops may nest deeper than python's stack
        tokens, uses = self.tokens, self.uses
        while frames:
            for step in frames[-1]:
                if step.__class__ is not int:
                    operation, argument = step
                    body = operation(self, argument)
                    if body is not None:
                        frames.append(body)
                        break
                    continue
                token = step if step >= 0 else ~step
                name = tokens[token]
                parents = self.state.get(name, NONE)
                if parents is NONE and step >= 0:
                    self.state[name] = [token]
                known = uses.get(token)
                if known is None:
                    uses[token] = parents
                elif known is not parents and known != parents:
                    uses[token] = sorted({*known, *parents})
            else:
                frames.pop()
        return self.canonical()

    def jointly(self, definition: Definition) -> None:
        """Defines every target by all sources: one edge a target, even without a source."""
        self._define(definition, [definition[2]])

    def pairwise(self, definition: Definition) -> None:
        """Defines every target by every source: one edge a pair, none without a source."""
        self._define(definition, [[source] for source in definition[2]])

    def _define(self, definition: Definition, groups: list[list[int]]) -> None:
        relation, targets, _ = definition
        for token in targets:
            self.state[self.tokens[token]] = [token]
            if not self.depth:
                self.definitions += [(relation, token, sources) for sources in groups]
            elif groups:
                self.united.setdefault((relation, token), set()).update(*groups)

    def fork(self, _: None) -> None:
        """Opens a branch and its first arm."""
        self.branches.append((self.state, []))
        self.state = self.state.copy()

    def arm(self, _: None) -> None:
        """Closes an arm and opens the next, which starts from the state before the branch."""
        before, after = self.branches[-1]
        after.append(self.state)
        self.state = before.copy()

    def join(self, exhaustive: bool) -> None:
        """Closes a branch: definitions are those after any arm, and those before unless some arm is always taken."""
        before, after = self.branches.pop()
        for state in after if exhaustive else [*after, before]:
            for name, tokens in state.items():
                known = self.state.get(name)
                if known is None:
                    self.state[name] = tokens
                elif known is not tokens and known != tokens:
                    self.state[name] = sorted({*known, *tokens})

    def loop(self, passes: tuple[list[Step], list[Step]]) -> Iterator[Step] | None:
        """Runs a loop's first pass and its second.

        An inner loop that is met again in the state it was last met in would only repeat its edges: it is skipped,
        without which n nested loops would take 2^n passes.
        """
        first, second = passes
        entry = None
        if self.depth:
            last_entry, last_exit = self.passed.get(id(first), (None, None))
            if last_entry == self.state:
                self.state = last_exit.copy()
                return None
            entry = self.state.copy()
        self.depth += 1
        return chain(first, second, [(Flow.end, (id(first), entry))])

    def end(self, visit: tuple[int, State | None]) -> None:
        """Closes a loop."""
        key, entry = visit
        self.depth -= 1
        if entry is not None:
            self.passed[key] = entry, self.state.copy()

    def canonical(self) -> list[Edge]:
        """The edges sorted, without tokens that no edge links to another.

        Outside loops a definition names each source's variable, inside each distinct one.
        """
        tokens, uses = self.tokens, self.uses
        linked = set().union(*uses.values(), *self.united.values(), *[sources for _, _, sources in self.definitions])
        edges = [
            [tokens[token], token, COMES, [tokens[token]] if parents else [], [*parents]]
            for token, parents in uses.items()
            if parents or token in linked
        ]
        for relation, token, sources in self.definitions:
            if sources or token in linked:
                edges.append([tokens[token], token, relation, sorted([tokens[s] for s in sources]), [*sources]])
        for (relation, token), sources in self.united.items():
            if sources or token in linked:
                edges.append([tokens[token], token, relation, sorted({tokens[s] for s in sources}), sorted(sources)])
        edges.sort()
        return edges
