"""The call tree of a run: one node for each call path, below a node for each kind of process."""

from __future__ import annotations

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
    p95_ns: int | None  # None: of one call there is none, of a generator it is not known
    children: list[Node]
    file: str = ""
    line: int = 0
    items: int = 0
    is_critical: bool = False
    levels: int = 1  # of itself that are counted here, see recursion.py

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Yield (depth, node) of this node and all below it, in order. No recursion: a program's may be thousands deep."""
        pending = [(0, self)]
        while pending:
            depth, node = pending.pop()
            yield depth, node
            pending += [(depth + 1, child) for child in reversed(node.children)]


def build_tree(
    processes: list[Process],
    functions: dict[int, Function],
    paths: list[PathTotals],
    critical: set[int],
    now_ns: int,
) -> list[Node]:
    """Return the roots: the program, and what was not started by it. The costly come first among children.

    *critical*: paths on the critical path.
    """
    by_name = _processes(processes, now_ns)
    nodes: dict[int, Node] = {}
    for path in paths:
        function = functions[path.function]
        node = nodes[path.id] = _node(path, function)
        node.is_critical = path.id in critical
        above = nodes.get(path.parent) if path.parent else None
        if above is None:
            above = by_name.setdefault(path.process_name, _process_node(path.process_name))
            above.self_ns -= max(0, path.total_ns - path.suspended_ns)
        above.children.append(node)
    for process in by_name.values():
        process.self_ns = max(0, process.self_ns)
        process.is_critical = any(child.is_critical for child in process.children)
    roots = _hang_processes(processes, by_name)
    for node in (*by_name.values(), *nodes.values()):
        node.children.sort(key=lambda child: -child.total_ns)
    return roots


def _process_node(name: str) -> Node:
    return Node(name, None, 0, 0, 0, 0, 0, None, [])


def _name(process: Process) -> str:
    return process.name or "process"


def _processes(processes: list[Process], now_ns: int) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    durations: dict[str, list[int]] = {}
    for process in processes:
        name = _name(process)
        took = max(0, (process.end_ns or now_ns) - process.start_ns)
        node = nodes.setdefault(name, _process_node(name))
        node.calls += 1
        node.errors += process.signal is not None or bool(process.exit_code)
        node.open += process.end_ns is None
        node.total_ns += took
        node.self_ns += took
        durations.setdefault(name, []).append(took)
    for name, node in nodes.items():
        taken = sorted(durations[name])
        node.p95_ns = taken[-(len(taken) // 20) - 1] if len(taken) > 1 else None
    return nodes


def _hang_processes(processes: list[Process], by_name: dict[str, Node]) -> list[Node]:
    """Hang each kind of process below that which first started one; return those that none did."""
    placed: set[str] = set()
    roots: list[Node] = []
    by_pid: dict[int | None, Process] = {}
    for process in sorted(processes, key=lambda process: process.start_ns):
        name, starter = _name(process), by_pid.get(process.ppid)
        if name not in placed:
            above = by_name[_name(starter)].children if starter else roots
            above.append(by_name[name])
            placed.add(name)
        by_pid[process.pid] = process
    return roots + [node for name, node in by_name.items() if name not in placed]


def _node(path: PathTotals, function: Function) -> Node:
    has_p95 = path.calls > 1 and not path.suspended_ns
    p95 = path.histogram.quantile(0.95) if has_p95 else None
    return Node(
        name=function.name,
        path=path.id,
        calls=path.calls + path.open,
        errors=path.errors,
        open=path.open,
        total_ns=max(0, path.total_ns - path.suspended_ns),
        self_ns=path.self_ns,
        p95_ns=None if p95 is None else min(p95, path.max_ns or p95),
        children=[],
        file=function.file,
        line=function.line,
        items=path.items,
    )


def prune(roots: list[Node], min_ns: float, depth: int | None, grep: str | None) -> list[Node]:
    """Return the trees without nodes below *min_ns* in total, beyond *depth*, or whose names and descendants' lack *grep*."""
    nodes = [pair for root in roots for pair in root.walk()]
    kept: set[int] = set()
    for at, node in reversed(nodes):  # children before their parents
        node.children = [child for child in node.children if id(child) in kept]
        is_far = depth is not None and at > depth
        matches = grep is None or grep in node.name
        is_small = node.total_ns < min_ns and not node.open
        if not is_far and (node.children or (matches and not is_small)):
            kept.add(id(node))
    return [root for root in roots if id(root) in kept]
