"""What a node can mean to the data flow, whatever its language; `grammars` says which node of a language means what.

The meanings follow GraphCodeBERT's data flow (Guo et al. 2021, section 3) as its published extractor draws it, found by
comparing cases; where that one differs from what a reader would expect, the docstring says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from tree_sitter import Node

from src.backbones.dataflow.flow import COMES, COMPUTED, Definition, Flow
from src.backbones.dataflow.lowering import (
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

Operation = Callable[[Flow, Definition], None]


def nothing(node: Node) -> list[Item]:
    """Comments."""
    return []


def statement(node: Node) -> list[Item]:
    """A statement, unless it is a string on its own (python): that is a docstring, which says nothing of the values."""
    children = node.children
    return children if len(children) > 1 or children[0].type != "string" else []


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
        if len(children) == 3 and children[1].type[-1] == "=":  # nearly all, twice as fast
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
    if len(children) == 3 and children[1].type[-1] == "=" and not children[0].child_count:
        left, equals, right = children
        return [mark, left, written, equals, mark, right, read, defines(Flow.jointly, COMPUTED)]
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    return _around(node, {} if right is None else _matched(left, right))


def for_each(target: str, source: str) -> Rule:
    """A loop over values: read the source, define the target, run the body; all of it twice."""

    def rule(node: Node) -> list[Item]:
        return _for_each(node, node.child_by_field_name(target), node.child_by_field_name(source))

    return rule


def for_each_as(node: Node) -> list[Item]:
    """The same for `foreach (source as target)` (php), which has no names for the two."""
    children = [child for child in node.children if not child.is_extra]
    at = [child.type for child in children].index("as")
    return [
        *[mark, mark, *children[: at - 1]],
        *[mark, children[at - 1], read, children[at]],
        *[mark, children[at + 1], written, defines(Flow.pairwise, COMPUTED)],
        *[*children[at + 2 :], loops],
    ]


def matched_for_each(target: str, source: str) -> Rule:
    """The same, with target and source matched as in an assignment. With an `else` (python) its body is nothing."""

    def rule(node: Node) -> list[Item]:
        left, right, body = map(node.child_by_field_name, (target, source, "body"))
        kept = {} if node.child_by_field_name("alternative") else {body: [body]}
        return [mark, mark, *_around(node, _matched(left, right) | kept), loops]

    return rule


def twice(node: Node) -> list[Item]:
    """A loop of which everything is repeated."""
    return [mark, mark, *node.children, loops]


def counted(start: str) -> Rule:
    """A loop that repeats what follows its first child of the kind `start`, and nothing if there is none."""

    def rule(node: Node) -> list[Item]:
        items: list[Item] = [mark]
        children = node.children
        kinds = [child.type for child in children]
        split = kinds.index(start) + 1 if start in kinds else len(kinds)
        return [*items, *children[:split], mark, *children[split:], loops]

    return rule


def counted_clause(clause: str, update: str) -> Rule:
    """The same for go, where it is the `update` of a `clause` and the body that are repeated."""

    def rule(node: Node) -> list[Item]:
        children = []
        split = None
        for child in node.children:
            if child.type == clause:
                step = child.child_by_field_name(update)
                children += child.children
                split = children.index(step) if step is not None else len(children)
            else:
                children.append(child)
        return (
            [mark, *children[:split], mark, *children[split:], loops]
            if split is not None
            else [mark, *children, mark, loops]
        )

    return rule


def branch(arms: Collection[str], exhaustive: str | None = None, sticky: bool = True) -> Rule:
    """Arms that each start from the state before the branch: the first goes up to the first child of a kind in `arms`.

    With `sticky`, every child from there on is an arm of its own. A branch without a child of the kind `exhaustive` may be passed by.
    """
    fork, arm, join, pass_by = emits(Flow.fork), emits(Flow.arm), emits(Flow.join, True), emits(Flow.join, False)

    def rule(node: Node) -> list[Item]:
        items: list[Item] = [fork]
        always = entered = False
        for child in node.children:
            kind = child.type
            always = always or kind == exhaustive
            entered = entered or kind in arms
            items += [arm, child] if entered else [child]
        return [*items, join if always else pass_by]

    return rule


def clauses_first(clause: str) -> Rule:
    """A comprehension: its clauses of the kind `clause` are lowered before what they are written after."""

    def rule(node: Node) -> list[Item]:
        children = node.children
        order = sorted(range(len(children)), key=lambda i: children[i].type != clause)
        return [*(item for child in children for item in (mark, child)), reorders(order)]

    return rule


def _for_each(node: Node, target: Node, source: Node) -> list[Item]:
    body = node.child_by_field_name("body")
    define = defines(Flow.pairwise, COMPUTED)
    first, last = [mark, source, read], [mark, target, written]
    if target.start_byte < source.start_byte:
        kept = {target: last, source: [*first, define]}
    else:
        kept = {source: first, target: [*last, define]}
    return [mark, mark, *_around(node, kept | {body: [body]}), loops]


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
    return (
        [] if node.type == "string" else [child for child in node.children if child.type != "," and not child.is_extra]
    )
