"""What a node can mean to the data flow, whatever its language; `grammars` says which node of a language means what.

The meanings follow GraphCodeBERT's data flow (Guo et al. 2021, section 3) as its published extractor draws it, found by
comparing cases; where that one differs from what a reader would expect, the docstring says so.
"""

from __future__ import annotations

from collections.abc import Collection

from tree_sitter import Node

from src.dataflow.flow import COMES, COMPUTED, Flow
from src.dataflow.lowering import (
    Item,
    Rule,
    defines,
    emits,
    ignored,
    loops,
    mark,
    read,
    reorders,
    unset,
    updated,
    written,
)


def nothing(node: Node) -> list[Item]:
    """Comments."""
    return []


def statement(node: Node) -> list[Item]:
    """A statement, unless it is a string on its own (python): that is a docstring, which says nothing of the values."""
    children = node.children
    return [] if len(children) == 1 and children[0].type == "string" else children


def update(node: Node) -> list[Item]:
    """x++: every variable is computed from all."""
    return [mark, *node.children, updated, defines(Flow.pairwise, COMPUTED)]


def assignment(target: str, source: str, relation: str = COMPUTED) -> Rule:
    """target = source, by the names of their fields: the source is read, then every variable of the target defined.

    Indices and attributes in the target are defined with it; an augmented target is not read. Without a source
    (`int x;`) the variables are defined from nothing.
    """
    define, declare = defines(Flow.pairwise, relation), defines(Flow.jointly, COMES)

    def rule(node: Node) -> list[Item]:
        children = node.children
        if len(children) == 3 and children[1].type.endswith("="):  # nearly all, twice as fast
            left, equals, right = children
            return [mark, left, written, equals, mark, right, read, define]
        left, right = node.child_by_field_name(target), node.child_by_field_name(source)
        if right is None:
            return _around(node, {left: [mark, left, written, unset, declare]})
        return _around(node, {left: [mark, left, written], right: [mark, right, read, define]})

    return rule


def matched_assignment(node: Node) -> list[Item]:
    """left = right; as many parts on the left as on the right are defined one by one: `a, b = c, d`.

    The parts are all children but commas, so that `a.b = c.d` defines a by c and b by d, and `a, b = f(c)` defines a by
    f. An annotation alone (`x: int`) is nothing.
    """
    children = node.children
    if len(children) == 3 and children[1].type.endswith("=") and not children[0].child_count:
        left, equals, right = children
        return [mark, left, written, equals, mark, right, read, defines(Flow.jointly, COMPUTED)]
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    return _around(node, {} if right is None else _matched(left, right))


def for_each(target: str, source: str) -> Rule:
    """A loop over values: read the source, define the target, run the body; all of it twice."""
    define = defines(Flow.pairwise, COMPUTED)

    def rule(node: Node) -> list[Item]:
        left, right, body = map(node.child_by_field_name, (target, source, "body"))
        kept = {left: [mark, left, written], right: [mark, right, read, define], body: [body]}
        return _repeated(_around(node, kept), 0)

    return rule


def for_each_as(node: Node) -> list[Item]:
    """The same for `foreach (source as target)`, whose two are told by their places."""
    children = [child for child in node.children if not child.is_extra]
    at = [child.type for child in children].index("as")
    source = [mark, children[at - 1], read]
    target = [mark, children[at + 1], written, defines(Flow.pairwise, COMPUTED)]
    return _repeated([*children[: at - 1], *source, children[at], *target, *children[at + 2 :]], 0)


def matched_for_each(target: str, source: str) -> Rule:
    """The same, with target and source matched as in an assignment. With an `else` (python) its body is nothing."""

    def rule(node: Node) -> list[Item]:
        left, right, body = map(node.child_by_field_name, (target, source, "body"))
        kept = {} if node.child_by_field_name("alternative") else {body: [body]}
        return _repeated(_around(node, _matched(left, right) | kept), 0)

    return rule


def twice(node: Node) -> list[Item]:
    """A loop of which everything is repeated."""
    return _repeated(node.children, 0)


def counted(start: str) -> Rule:
    """A loop that repeats what follows its first child of the kind `start`, and nothing if there is none."""

    def rule(node: Node) -> list[Item]:
        children = node.children
        kinds = [child.type for child in children]
        return _repeated(children, kinds.index(start) + 1 if start in kinds else len(kinds))

    return rule


def counted_clause(clause: str, update: str) -> Rule:
    """The same, for a language that holds the head of the loop in a clause: its update and the body are repeated."""

    def rule(node: Node) -> list[Item]:
        children = node.children
        head = next((child for child in children if child.type == clause), None)
        if head is None:
            return _repeated(children, len(children))
        at, step = children.index(head), head.child_by_field_name(update)
        again = [*head.children, *children[at + 1 :]]
        return _repeated([*children[:at], *again], at + (head.child_count if step is None else again.index(step)))

    return rule


def branch(arms: Collection[str], exhaustive: str | None = None) -> Rule:
    """Arms that each start from the state before the branch.

    The first arm is all children up to the first of a kind in `arms`; from there on each child is an arm of its own.
    A branch with a child of the kind `exhaustive` cannot be passed by.
    """
    fork, arm, join, may_join = emits(Flow.fork), emits(Flow.arm), emits(Flow.join, True), emits(Flow.join, False)

    def rule(node: Node) -> list[Item]:
        items: list[Item] = [fork]
        entered = always = False
        for child in node.children:
            kind = child.type
            entered = entered or kind in arms
            always = always or kind == exhaustive
            items += (arm, child) if entered else (child,)
        items.append(join if always else may_join)
        return items

    return rule


def clauses_first(clause: str) -> Rule:
    """A comprehension: its clauses of the kind `clause` are lowered before what they are written after."""

    def rule(node: Node) -> list[Item]:
        children = node.children
        order = sorted(range(len(children)), key=lambda i: children[i].type != clause)
        return [*(item for child in children for item in (mark, child)), reorders(order)]

    return rule


def _repeated(items: list[Item], start: int) -> list[Item]:
    return [mark, *items[:start], mark, *items[start:], loops]


def _around(node: Node, kept: dict[Node, list[Item]]) -> list[Item]:
    """The items of some children, and the others as tokens that are neither read nor written."""
    items: list[Item] = []
    for child in node.children:
        if child in kept:
            items += kept[child]
        elif child.is_named:
            items += [mark, child, ignored]
        else:
            items.append(child)
    return items


def _matched(left: Node, right: Node) -> dict[Node, list[Item]]:
    lefts, rights = _parts(left), _parts(right)
    if not lefts or len(lefts) != len(rights):
        lefts, rights = [left], [right]
    define = defines(Flow.jointly, COMPUTED, len(lefts))
    targets = [left] if lefts[0] == left else left.children
    sources = [right] if rights[0] == right else right.children
    return {
        left: [item for part in targets for item in ([mark, part, written] if part in lefts else [part])],
        right: [item for part in sources for item in ([mark, part, read] if part in rights else [part])] + [define],
    }


def _parts(node: Node) -> list[Node]:
    """What is matched; a string has parts to the grammar but is one token."""
    children = [] if node.type == "string" else node.children
    return [child for child in children if child.type != "," and not child.is_extra]
