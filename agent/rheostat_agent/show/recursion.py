"""Direct recursion in the call tree: a function below itself is one node, however deep it went."""

from __future__ import annotations

from rheostat_agent.show.tree import Node


def fold_recursion(roots: list[Node]) -> None:
    """Merge each function in *roots* with the calls of itself that it made; a node's total stays that of the outermost."""
    pending = list(roots)
    while pending:
        node = pending.pop()
        again = _take_again(node)
        while again is not None:
            node.levels += 1
            _add(node, again)
            again = _take_again(node)
        node.children = _merged(node.children)
        pending += node.children


def _take_again(node: Node) -> Node | None:
    """Remove the child of *node* that is the same function, and return it."""
    for at, child in enumerate(node.children):
        if child.name == node.name and child.path is not None and node.path is not None:
            return node.children.pop(at)
    return None


def _add(node: Node, other: Node) -> None:
    """Add the calls of *other* to *node*, all but the time that they took in total."""
    node.calls += other.calls
    node.errors += other.errors
    node.open += other.open
    node.items += other.items
    node.self_ns += other.self_ns
    node.p95_ns = None
    node.is_critical = node.is_critical or other.is_critical
    node.children += other.children


def _merged(children: list[Node]) -> list[Node]:
    """Return *children* with one node for each function: it may have been called at several depths of a recursion."""
    found: dict[tuple[str, bool], Node] = {}
    for child in children:
        known = found.setdefault((child.name, child.path is None), child)
        if known is not child:
            known.total_ns += child.total_ns
            _add(known, child)
    return sorted(found.values(), key=lambda child: -child.total_ns)
