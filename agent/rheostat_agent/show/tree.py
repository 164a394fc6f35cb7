"""The call tree of a run: one node for each call path, below a node for each kind of process."""

from __future__ import annotations

from rheostat_agent.history.histogram import Histogram
from rheostat_agent.history.query import Function, PathTotals, Process
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator


class Node(Value):
    """A call path, or (path None) the processes that go by one name. Times in nanoseconds."""

    name: str
    path: int | None
    calls: int
    errors: int
    open: int
    total_ns: int
    self_ns: int
    p95_ns: int | None
    children: list[Node]
    file: str = ""
    line: int = 0
    items: int = 0
    is_critical: bool = False

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """Yield (depth, node) of this node and all below it, the costly first."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


def build_tree(
    processes: list[Process],
    functions: dict[int, Function],
    paths: list[PathTotals],
    critical: set[int],
    now_ns: int,
) -> list[Node]:
    """Return the roots, in the order in which their processes began. *critical*: paths on the critical path."""
    roots = _roots(processes, now_ns)
    nodes: dict[int, Node] = {}
    for path in paths:
        function = functions[path.function]
        node = nodes[path.id] = _node(path, function)
        node.is_critical = path.id in critical
        above = nodes.get(path.parent) if path.parent else None
        if above is None:
            above = roots.setdefault(
                path.process_name, Node(path.process_name, None, 0, 0, 0, 0, 0, None, [])
            )
            above.self_ns -= max(0, path.total_ns - path.suspended_ns)
        above.children.append(node)
    for node in (*roots.values(), *nodes.values()):
        node.children.sort(key=lambda child: -child.total_ns)
    for root in roots.values():
        root.self_ns = max(0, root.self_ns)
        root.is_critical = any(child.is_critical for child in root.children)
    return list(roots.values())


def _roots(processes: list[Process], now_ns: int) -> dict[str, Node]:
    roots: dict[str, Node] = {}
    durations: dict[str, Histogram] = {}
    for process in processes:
        name = process.name or "process"
        took = max(0, (process.end_ns or now_ns) - process.start_ns)
        root = roots.setdefault(name, Node(name, None, 0, 0, 0, 0, 0, None, []))
        root.calls += 1
        root.errors += process.signal is not None or bool(process.exit_code)
        root.open += process.end_ns is None
        root.total_ns += took
        root.self_ns += took
        durations.setdefault(name, Histogram()).add(took)
    for name, root in roots.items():
        root.p95_ns = durations[name].quantile(0.95)
    return roots


def _node(path: PathTotals, function: Function) -> Node:
    return Node(
        name=function.name,
        path=path.id,
        calls=path.calls + path.open,
        errors=path.errors,
        open=path.open,
        total_ns=max(0, path.total_ns - path.suspended_ns),
        self_ns=path.self_ns,
        p95_ns=path.histogram.quantile(0.95),
        children=[],
        file=function.file,
        line=function.line,
        items=path.items,
    )


def prune(roots: list[Node], min_ns: float, depth: int | None, grep: str | None) -> list[Node]:
    """Return the trees without nodes below *min_ns* in total, beyond *depth*, or whose names and descendants' lack *grep*."""
    kept = (_pruned(root, min_ns, depth, grep, 0) for root in roots)
    return [root for root in kept if root is not None]


def _pruned(node: Node, min_ns: float, depth: int | None, grep: str | None, at: int) -> Node | None:
    if depth is not None and at > depth:
        return None
    found = (_pruned(child, min_ns, depth, grep, at + 1) for child in node.children)
    children = [child for child in found if child is not None]
    matches = grep is None or grep in node.name
    is_small = node.total_ns < min_ns and not node.open
    if not children and (not matches or is_small):
        return None
    node.children = children
    return node
