"""Rules of the data flow, after the actions of which they consist; `grammars` assigns them to nodes.

They follow GraphCodeBERT's data flow (Guo et al. 2021, section 3) as its published extractor computes it, inferred from
examples. Docstrings mention where the published one differs from what a reader would expect.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

from tree_sitter import Node

from src.dataflow.flow import COMES_FROM, COMPUTED_FROM, Flow
from src.dataflow.lowering import Action, Item, Lowering, Rule


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
def define(relation: str, jointly: bool = False, count: int = 1) -> Action:
    """The action that defines each of the last `count` targets by its own of the last `count` sources.

    One edge per pair of variables, none without a source; or jointly: one per target, even without a source.
    """

    def action(lowering: Lowering) -> None:
        for targets, sources in zip(lowering.targets[-count:], lowering.sources[-count:], strict=True):
            groups = [sources] if jointly else [[source] for source in sources]
            lowering.program.append((Flow.define, (relation, targets, groups)))
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


def ignore(node: Node) -> Sequence[Item]:
    """A comment."""
    return []


def unless_docstring(node: Node) -> Sequence[Item]:
    """A statement, ignored if it is just a string (python): that is a docstring, which has no effect on values."""
    children = node.children
    return [] if len(children) == 1 and children[0].type == "string" else children


def update(node: Node) -> Sequence[Item]:
    """x++: every variable is computed from all."""
    return [mark, *node.children, end_updated, define(COMPUTED_FROM)]


def assignment(target: str, source: str, relation: str = COMPUTED_FROM) -> Rule:
    """target = source, by their field names: the source is read, then every variable of the target is defined.

    Indices and attributes in the target are defined with it; an augmented target is not read. Without a source
    (`int x;`) the variables are defined from nothing.
    """
    define_target, declare = define(relation), define(COMES_FROM, jointly=True)

    def rule(node: Node) -> Sequence[Item]:
        left = _child(node, target)
        value = node.child_by_field_name(source)
        if value is None:
            return _others_ignored(node, {left: [mark, left, end_targets, no_sources, declare]})
        return _others_ignored(
            node, {left: [mark, left, end_targets], value: [mark, value, end_sources, define_target]}
        )

    return rule


def matched_assignment(node: Node) -> Sequence[Item]:
    """left = right; equal numbers of parts on both sides are defined one by one: `a, b = c, d`.

    The parts are all children except commas, so that `a.b = c.d` defines a by c and b by d, and `a, b = f(c)` defines a
    by f. An annotation without a value (`x: int`) defines nothing.
    """
    value = node.child_by_field_name("right")
    return _others_ignored(node, {} if value is None else _matched(_child(node, "left"), value))


def for_each(node: Node) -> Sequence[Item]:
    """A loop over values (java): read the value, define the name, run the body; all of it twice."""
    name, value, body = _child(node, "name"), _child(node, "value"), _child(node, "body")
    items_of: dict[Node, Sequence[Item]] = {
        name: [mark, name, end_targets],
        value: [mark, value, end_sources, define(COMPUTED_FROM)],
        body: [body],
    }
    return _repeated(_others_ignored(node, items_of), 0)


def for_each_as(node: Node) -> Sequence[Item]:
    """The same for `foreach (source as target)`, where the position shows which is which."""
    children = [child for child in node.children if not child.is_extra]
    at = [child.type for child in children].index("as")
    source: list[Item] = [mark, children[at - 1], end_sources]
    target: list[Item] = [mark, children[at + 1], end_targets, define(COMPUTED_FROM)]
    return _repeated([*children[: at - 1], *source, children[at], *target, *children[at + 2 :]], 0)


def matched_for_each(target: str, source: str) -> Rule:
    """The same, with target and source matched as in an assignment. With an `else` (python) the body is ignored."""

    def rule(node: Node) -> Sequence[Item]:
        items_of = dict(_matched(_child(node, target), _child(node, source)))
        if node.child_by_field_name("alternative") is None:
            body = _child(node, "body")
            items_of[body] = [body]
        return _repeated(_others_ignored(node, items_of), 0)

    return rule


def while_loop(node: Node) -> Sequence[Item]:
    """A loop that repeats all its children."""
    return _repeated(node.children, 0)


def for_loop(start: str) -> Rule:
    """A loop that repeats the children after its first one of the kind `start`; without such a child, it runs once."""

    def rule(node: Node) -> Sequence[Item]:
        children = node.children
        kinds = [child.type for child in children]
        return _repeated(children, kinds.index(start) + 1 if start in kinds else len(kinds))

    return rule


def for_loop_with_clause(node: Node) -> Sequence[Item]:
    """The same where the loop's head is a clause (go): the clause's update and the body are repeated."""
    children = node.children
    head = next((child for child in children if child.type == "for_clause"), None)
    if head is None:
        return _repeated(children, len(children))
    at, step = children.index(head), head.child_by_field_name("update")
    again = [*head.children, *children[at + 1 :]]
    return _repeated([*children[:at], *again], at + (head.child_count if step is None else again.index(step)))


def branch(arms: Collection[str], exhaustive: str | None = None) -> Rule:
    """Arms that each start from the state before the branch.

    The first arm consists of all children before the first one of a kind in `arms`; each later child is its own arm.
    A branch with a child of the kind `exhaustive` always takes one of its arms.
    """
    fork, next_arm = emit(Flow.fork), emit(Flow.next_arm)

    def rule(node: Node) -> Sequence[Item]:
        kinds = [child.type for child in node.children]
        first_arm = next((at for at, kind in enumerate(kinds) if kind in arms), len(kinds))
        later = [item for child in node.children[first_arm:] for item in (next_arm, child)]
        return [fork, *node.children[:first_arm], *later, emit(Flow.join, exhaustive in kinds)]

    return rule


def comprehension(node: Node) -> Sequence[Item]:
    """A comprehension (python): its `for` clauses come before the expressions in front of them."""
    children = node.children
    order = sorted(range(len(children)), key=lambda i: children[i].type != "for_in_clause")
    return [*(item for child in children for item in (mark, child)), reorder(order)]


def _child(node: Node, field: str) -> Node:
    """The child in a field that the grammar requires."""
    child = node.child_by_field_name(field)
    assert child is not None
    return child


def _repeated(items: Sequence[Item], start: int) -> list[Item]:
    return [mark, *items[:start], mark, *items[start:], end_loop]


def _others_ignored(node: Node, items_of: Mapping[Node, Sequence[Item]]) -> list[Item]:
    """The items of some children; the others become tokens that are neither targets nor uses."""
    items: list[Item] = []
    for child in node.children:
        if child in items_of:
            items += items_of[child]
        elif child.is_named:
            items += [mark, child, end_ignored]
        else:
            items.append(child)
    return items


def _matched(left: Node, right: Node) -> Mapping[Node, Sequence[Item]]:
    lefts, rights = _parts(left), _parts(right)
    if not lefts or len(lefts) != len(rights):
        lefts, rights = [left], [right]
    define_lefts = define(COMPUTED_FROM, jointly=True, count=len(lefts))
    left_items, right_items = list[Item](), list[Item]()
    for part in [left] if lefts[0] == left else left.children:
        left_items += [mark, part, end_targets] if part in lefts else [part]
    for part in [right] if rights[0] == right else right.children:
        right_items += [mark, part, end_sources] if part in rights else [part]
    return {left: left_items, right: [*right_items, define_lefts]}


def _parts(node: Node) -> list[Node]:
    """The parts to match; a string has children in the grammar but is one token."""
    children = [] if node.type == "string" else node.children
    return [child for child in children if child.type != "," and not child.is_extra]
