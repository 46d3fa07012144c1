"""The abstract machine: runs a lowered function on a map of variable -> tokens of its last definitions.

A program (made by `lowering`) is a list of steps. The step n >= 0 is a use of the identifier at token n; the step ~n is
a use of another named leaf (a literal, a type), which reads definitions of its text but never adds one. Any other step
is a pair: an operation of `Flow` and its argument.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

COMES_FROM, COMPUTED_FROM = "comesFrom", "computedFrom"

Edge = list[Any]  # [variable, token index, comesFrom | computedFrom, [parent names], [parent token indices]]
Step = int | tuple[Callable[["Flow", Any], Any], Any]
State = dict[str, list[int]]  # variable -> tokens of its last definitions, ascending; the lists are never changed
Definition = tuple[str, list[int], list[list[int]]]  # relation, targets, groups of sources


class Flow:
    """One run: branches merge their states, loops run twice, repeated findings are merged."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.state: State = {}
        self.uses: dict[int, list[int]] = {}  # token -> the definitions it may come from
        self.definitions: list[tuple[str, int, list[int]]] = []  # outside loops: relation, token, sources
        self.loop_definitions: dict[tuple[str, int], set[int]] = {}  # inside loops: relation, token -> sources
        self.depth = 0  # of loops
        # Of each open branch: the state before it, and the states after its arms.
        self.branches: list[tuple[State, list[State]]] = []
        self.visited: dict[int, tuple[State, State]] = {}  # a loop's last entry and exit

    def run(self, program: list[Step]) -> list[Edge]:
        """The edges of the program; see `edges`."""
        # Explicit frames instead of recursion, since loops may nest deeper than python's stack.
        frames: list[Iterator[Step]] = [iter(program)]
        tokens, uses = self.tokens, self.uses
        while frames:
            for step in frames[-1]:
                if isinstance(step, tuple):
                    operation, argument = step
                    if (body := operation(self, argument)) is not None:
                        frames.append(body)
                        break
                    continue
                token = step if step >= 0 else ~step
                name = tokens[token]
                parents = self.state.get(name, [])
                if not parents and step >= 0:
                    self.state[name] = [token]
                uses[token] = _united(uses.get(token, parents), parents)
            else:
                frames.pop()
        return self.edges()

    def define(self, definition: Definition) -> None:
        """Defines every target by each group of sources: one edge per target and group."""
        relation, targets, groups = definition
        for token in targets:
            self.state[self.tokens[token]] = [token]
            if not self.depth:
                self.definitions += [(relation, token, sources) for sources in groups]
            elif groups:
                self.loop_definitions.setdefault((relation, token), set()).update(*groups)

    def fork(self, _: None) -> None:
        """Opens a branch and its first arm."""
        self.branches.append((self.state, []))
        self.state = self.state.copy()

    def next_arm(self, _: None) -> None:
        """Closes an arm and opens the next one, which starts from the state before the branch."""
        before, after = self.branches[-1]
        after.append(self.state)
        self.state = before.copy()

    def join(self, exhaustive: bool) -> None:
        """Closes a branch: keeps the definitions after any arm, and those before it unless some arm is always taken."""
        before, after = self.branches.pop()
        for state in after if exhaustive else [*after, before]:
            for name, tokens in state.items():
                self.state[name] = _united(self.state.get(name, tokens), tokens)

    def loop(self, passes: tuple[list[Step], list[Step]]) -> Iterator[Step] | None:
        """Runs the first and the second pass of a loop.

        An inner loop that starts again from the state of its last start would only repeat its edges. It is skipped:
        otherwise n nested loops would take 2^n passes.
        """
        first, second = passes
        last = self.visited.get(id(first))
        if last is not None and last[0] == self.state:
            self.state = last[1].copy()
            return None
        self.depth += 1
        return chain(first, second, [(Flow.end_loop, (id(first), self.state.copy()))])

    def end_loop(self, visit: tuple[int, State]) -> None:
        """Closes a loop."""
        key, entry = visit
        self.depth -= 1
        self.visited[key] = entry, self.state.copy()

    def edges(self) -> list[Edge]:
        """The sorted edges, without tokens that are linked to no other token.

        A definition names the variable of each source; inside loops, each distinct variable once.
        """
        tokens, uses = self.tokens, self.uses
        linked = set().union(
            *uses.values(), *self.loop_definitions.values(), *[sources for _, _, sources in self.definitions]
        )
        edges = [
            [tokens[token], token, COMES_FROM, [tokens[token]] if parents else [], [*parents]]
            for token, parents in uses.items()
            if parents or token in linked
        ]
        for relation, token, sources in self.definitions:
            if sources or token in linked:
                edges.append([tokens[token], token, relation, sorted([tokens[s] for s in sources]), [*sources]])
        for (relation, token), united in self.loop_definitions.items():
            if united or token in linked:
                edges.append([tokens[token], token, relation, sorted({tokens[s] for s in united}), sorted(united)])
        return sorted(edges)


def _united(known: list[int], more: list[int]) -> list[int]:
    return known if known == more else sorted({*known, *more})
