"""Call paths and their totals: every call that ended is counted here, whether its span is kept or not.

A *path* is a parent path and a function; it belongs to the run. A *node* is a path as one process image sees it, found by
the parent's node and the head of a record; so a record costs one dictionary look-up, and its duration is appended to a
list. The lists are folded into the totals once a batch, most of it in C.

The number of paths is bounded: recursion can make as many as there are calls. Beyond MAX_PATHS a call is counted under
its function alone, directly below its process, and that is said once.
"""

from __future__ import annotations

from rheostat.spool.layout import ASYNC_GENERATOR, GENERATOR, IMPORT
from rheostat_agent.history.histogram import Histogram
from rheostat_agent.history.pathnames import named_totals

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from rheostat_agent.history.pathnames import Totals

MAX_PATHS = 20_000

FunctionKey = tuple[str, int, str, int]  # name, kind, file, line
PathKey = tuple[int, int, str]  # parent path or 0, function, process name


class Path:
    """A call path and its totals; the columns of the table `paths`."""

    __slots__ = (
        "calls", "child_ns", "errors", "function", "histogram", "id", "items", "max_ns", "min_ns", "open",
        "parent", "process_name", "suspended_ns", "total_ns",
    )  # fmt: skip

    def __init__(self, number: int, parent: int | None, function: int, process_name: str) -> None:
        self.id = number
        self.parent = parent
        self.function = function
        self.process_name = process_name
        self.calls = self.errors = self.open = 0
        self.total_ns = self.child_ns = self.suspended_ns = self.items = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None
        self.histogram = Histogram()

    def add(self, durations_ns: list[int]) -> int:
        """Count calls that took *durations_ns*; return their sum."""
        least, most, total = min(durations_ns), max(durations_ns), sum(durations_ns)
        self.calls += len(durations_ns)
        self.total_ns += total
        self.min_ns = least if self.min_ns is None else min(self.min_ns, least)
        self.max_ns = most if self.max_ns is None else max(self.max_ns, most)
        self.histogram.add_all(durations_ns)
        return total

    def row(self) -> tuple[Any, ...]:
        """Return the row of the table."""
        return (
            self.id, self.parent, self.function, self.process_name, self.calls, self.errors, self.open,
            self.total_ns, self.child_ns, self.suspended_ns, self.items, self.min_ns, self.max_ns,
            self.histogram.to_bytes(),
        )  # fmt: skip


class Calls:
    """The functions and paths of a run."""

    def __init__(self) -> None:
        self._functions: dict[FunctionKey, int] = {}
        self._paths: dict[PathKey, Path] = {}
        self._by_id: dict[int, Path] = {}
        self._kinds: dict[int, int] = {}  # of functions
        self._new_functions: list[tuple[int, str, int, str, int]] = []
        self._changed: dict[int, Path] = {}
        self.overfull = False

    def restore(
        self, functions: Iterable[tuple[Any, ...]], paths: Iterable[tuple[Any, ...]]
    ) -> None:
        """Take up the rows of `functions` and `paths` that an agent before us committed."""
        for number, *key in functions:
            self._functions[key[0], key[1], key[2], key[3]] = number
            self._kinds[number] = key[1]
        for row in paths:
            path = Path(*row[:4])
            path.calls, path.errors, path.open, path.total_ns, path.child_ns = row[4:9]
            path.suspended_ns, path.items, path.min_ns, path.max_ns = row[9:13]
            path.histogram = Histogram.from_bytes(row[13])
            path.open = 0  # counted anew from the records
            self._keep(path)
            self._changed[path.id] = path

    def function(self, key: FunctionKey) -> int:
        """Return the number of the function *key*."""
        number = self._functions.get(key)
        if number is None:
            number = self._functions[key] = len(self._functions) + 1
            self._kinds[number] = key[1]
            self._new_functions.append((number, *key))
        return number

    def kind(self, function: int) -> int:
        """Return the kind of *function*."""
        return self._kinds[function]

    def path(self, parent: Path | None, function: int, process_name: str) -> Path:
        """Return the path of *function* below *parent*."""
        found = self._paths.get((parent.id if parent else 0, function, process_name))
        if found is not None:
            return found
        if parent is not None and len(self._paths) >= MAX_PATHS:
            self.overfull = True
            return self.path(None, function, process_name)
        made = Path(len(self._paths) + 1, parent.id if parent else None, function, process_name)
        self._keep(made)
        return made

    def _keep(self, path: Path) -> None:
        self._paths[path.parent or 0, path.function, path.process_name] = path
        self._by_id[path.id] = path

    def by_id(self, number: int) -> Path | None:
        """Return the path *number*, None if there is none."""
        return self._by_id.get(number)

    def touch(self, path: Path) -> None:
        """Have *path* written with the next batch, and its parents, without which it would hang in the air."""
        while path.id not in self._changed:
            self._changed[path.id] = path
            if path.parent is None:
                return
            path = self._by_id[path.parent]

    def fold(self, nodes: Iterable[Node]) -> None:
        """Add what *nodes* have gathered to the totals of their paths."""
        for node in nodes:
            if node.durations:
                self._fold(node)

    def _fold(self, node: Node) -> None:
        path = node.path
        assert path is not None, "the root of an image has no calls"
        total = path.add(node.durations)
        path.errors += node.errors
        path.suspended_ns += node.suspended_ns
        path.items += node.items
        parent = self._by_id.get(path.parent or 0)
        if parent is not None:
            parent.child_ns += total - node.suspended_ns - node.elsewhere_ns
        node.durations.clear()
        node.errors = node.suspended_ns = node.items = node.elsewhere_ns = 0
        self.touch(path)

    def drain(self) -> tuple[list[tuple[int, str, int, str, int]], list[tuple[Any, ...]]]:
        """Return the rows of new functions and changed paths, and forget that they are."""
        functions, paths = self._new_functions, [path.row() for path in self._changed.values()]
        self._new_functions, self._changed = [], {}
        return functions, paths

    def named_totals(self) -> list[Totals]:
        """Return the totals of all paths by name, for the index."""
        names = {number: key[0] for key, number in self._functions.items()}
        return named_totals(self._paths.values(), names)

    def all_paths(self) -> Iterator[Path]:
        """Yield all paths; parents before their children."""
        yield from self._paths.values()


class Node:
    """A path as one image sees it, and what its calls of this batch were."""

    __slots__ = (
        "children", "durations", "elsewhere_ns", "errors", "function", "high", "is_generator", "is_import",
        "is_plain", "items", "others", "path", "path_id", "suspended_ns",
    )  # fmt: skip

    def __init__(self, index: int, path: Path | None, kind: int) -> None:
        self.high = index << 32  # what marks a slot as its own, see stream.py
        self.path = path  # None: the root, the process itself
        self.path_id = path.id if path else 0
        self.function = path.function if path else 0
        self.is_import = kind == IMPORT
        self.is_generator = kind in (GENERATOR, ASYNC_GENERATOR)
        self.is_plain = not self.is_import and not self.is_generator
        self.children: dict[int, Node] = {}  # the plain ones, by head
        self.others: dict[int, Node] = {}
        self.durations: list[int] = []
        self.errors = self.items = 0
        self.suspended_ns = 0
        self.elsewhere_ns = 0  # of the durations, on another thread than the parent's


class OpenSpan:
    """A record that has begun."""

    __slots__ = ("away", "ident", "node", "parent", "parent_id", "start_ns")

    def __init__(
        self, node: Node, parent: int, parent_id: int, away: bool, ident: int, start_ns: int
    ) -> None:
        self.node = node
        self.parent = parent  # slot
        self.parent_id = parent_id
        self.away = away  # on another thread than its parent
        self.ident = ident
        self.start_ns = start_ns  # monotonic
