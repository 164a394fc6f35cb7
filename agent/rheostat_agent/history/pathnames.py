"""Call paths by name, as the index keeps them: what runs of one workflow have in common, for ids are each run's own.

A name is as long as its path is deep, and recursion can make a path for each level. So a function that calls itself is one
path, and below MAX_DEPTH levels all is one path. Of calls that are merged, the outermost alone add to the total time, for
it holds that of the others.
"""

from __future__ import annotations

from rheostat_agent.history.histogram import Histogram

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class PathLike(Protocol):
        """A call path and its totals: calls.Path while it is being counted, query.PathTotals when it is read."""

        id: int
        parent: int | None
        function: int
        process_name: str
        calls: int
        errors: int
        total_ns: int
        histogram: Histogram

    Totals = tuple[str, int, int, int, bytes]  # path, calls, errors, total_ns, histogram

PATH_SEPARATOR = " › "
MAX_DEPTH = 64


class _Named:
    """A path with a name, and the totals of all that have it."""

    __slots__ = ("calls", "depth", "errors", "function", "histogram", "name", "total_ns")

    def __init__(self, name: str, depth: int, function: int) -> None:
        self.name = name
        self.depth = depth
        self.function = function
        self.calls = self.errors = self.total_ns = 0
        self.histogram = Histogram()


def named_totals(paths: Iterable[PathLike], names: dict[int, str]) -> list[Totals]:
    """Return the totals of *paths* by name; parents come before children. *names*: of the functions."""
    known: dict[str, _Named] = {}
    of: dict[int, _Named] = {}
    for path in paths:
        above = of.get(path.parent or 0)
        if above is not None and (above.function == path.function or above.depth > MAX_DEPTH):
            named = above
        else:
            depth = above.depth + 1 if above is not None else 1
            name = names[path.function] if depth <= MAX_DEPTH else "…"
            full = f"{above.name if above is not None else path.process_name}{PATH_SEPARATOR}{name}"
            named = known.get(full) or _Named(full, depth, path.function)
            known[full] = named
        of[path.id] = named
        if named is not above:
            named.total_ns += path.total_ns
        named.calls += path.calls
        named.errors += path.errors
        named.histogram.merge(path.histogram)
    return [
        (one.name, one.calls, one.errors, one.total_ns, one.histogram.to_bytes())
        for one in known.values()
    ]
