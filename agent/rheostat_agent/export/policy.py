"""Which spans of a run are exported, and below which parent: a policy apart from what is recorded.

    all       every span
    default   imports, errors, and calls of at least a millisecond, 200 a second sustained; and what those hang below
    errors    errors, and what they hang below
    none      nothing

Processes are exported in any case but the last. The rows of the history come in the order in which calls ended, children
before their parents. What is decided depends on those rows alone, so that it is the same for every destination, and again
after an agent was killed. A call that is left out is counted on its nearest ancestor that is exported.
"""

from __future__ import annotations

from array import array

from rheostat_agent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Row = tuple[Any, ...]

ALL, DEFAULT, ERRORS, NONE = "all", "default", "errors", "none"
POLICIES = (DEFAULT, ALL, ERRORS, NONE)

LONG_NS = 1_000_000  # a call worth exporting by itself
RATE = 200.0  # spans a second
BURST = 1_000.0  # spans at once
RESERVE = 200.0  # of those, for errors alone

_ID, _PARENT, _FUNCTION, _START, _END, _ERROR = 0, 1, 3, 6, 7, 8  # of a row of `spans`
_PAGE_BITS = 7
_PAGE = 1 << _PAGE_BITS


class Omitted(Value):
    """What was left out below a span: how many calls, and the time of the topmost of them in nanoseconds."""

    calls: int
    duration_ns: int


class Bucket:
    """A token bucket over the time in the run, not that of the agent: what passes does not depend on who reads when."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        """*rate* spans a second, *burst* at once."""
        self._rate = rate / 1e9
        self._burst = burst
        self._tokens = burst
        self._last_ns = 0

    def take(self, now_ns: int, keep: float) -> bool:
        """Take a token for a span that ended at *now_ns*, if more than *keep* are left; say whether it was taken."""
        if now_ns > self._last_ns:
            gained = (now_ns - self._last_ns) * self._rate if self._last_ns else 0.0
            self._tokens = min(self._burst, self._tokens + gained)
            self._last_ns = now_ns
        if self._tokens < keep + 1.0:
            return False
        self._tokens -= 1.0
        return True

    def owe(self) -> None:
        """Take a token for a span that is exported in any case."""
        self._tokens -= 1.0


class Policy:
    """Decides for the spans of one run, in the order of the history."""

    def __init__(
        self,
        name: str,
        is_process: Callable[[int], bool],
        is_import: Callable[[int], bool],
        always_ns: int | None = None,
    ) -> None:
        """*is_process* tells the ids of the spans of processes, *is_import* the functions that are imports of modules.

        What lasts *always_ns* nanoseconds is exported in any case: a placeholder of it may have been sent.
        """
        self.omitted_calls = self.omitted_ns = 0
        self._is_all = name == ALL
        self._is_for_errors = name == ERRORS
        self._always_ns = always_ns
        self._is_process = is_process
        self._is_import = is_import
        self._bucket = Bucket()
        # By id, in pages: the parent of a span that was left out, that of one that is exported negated, 0 before it is seen.
        self._pages: dict[int, array[int]] = {}
        self._needed: set[int] = set()  # spans still to come that exported ones hang below
        self._carried: dict[int, list[int]] = {}  # by id of a span still to come: calls, duration

    def choose(self, rows: Iterable[Row]) -> Iterator[tuple[Row, int, Omitted | None]]:
        """Yield those of *rows* (of `spans`) that are exported, each with its parent's id and what was left out below it."""
        if self._is_all:
            for row in rows:
                yield row, row[_PARENT], None
            return
        for row in rows:
            if self._is_wanted(row):
                yield row, self._export(row), self.carried(row[_ID])
            else:
                self._omit(row)

    def carried(self, span: int) -> Omitted | None:
        """Return what was left out below *span*, which is exported now; None if nothing was."""
        found = self._carried.pop(span, None)
        return Omitted(*found) if found else None

    def parent_of(self, parent: int) -> int:
        """Return what a span below *parent* hangs below; it will be exported from now on."""
        while not self._is_process(parent):
            fate = self._fate(parent)
            if fate == 0:
                self._needed.add(parent)
            if fate <= 0:
                break
            parent = fate
        return parent

    def need(self, span: int) -> None:
        """Export *span*, which is still to come, in any case."""
        self._needed.add(span)

    def _is_wanted(self, row: Row) -> bool:
        duration = row[_END] - row[_START]
        is_due = self._always_ns is not None and duration >= self._always_ns
        if is_due or row[_ID] in self._needed:
            self._needed.discard(row[_ID])
            self._bucket.owe()
            return True
        if row[_ERROR] is not None:
            return self._bucket.take(row[_END], 0.0)
        if self._is_for_errors:
            return False
        if self._is_import(row[_FUNCTION]):
            return True
        return duration >= LONG_NS and self._bucket.take(row[_END], RESERVE)

    def _export(self, row: Row) -> int:
        self._settle(row[_ID], -row[_PARENT])
        return self.parent_of(row[_PARENT])

    def _omit(self, row: Row) -> None:
        span, parent, duration = row[_ID], row[_PARENT], row[_END] - row[_START]
        self._settle(span, parent)
        below = self._carried.pop(span, None)
        self.omitted_calls += 1
        self.omitted_ns += duration - (below[1] if below else 0)
        while not self._is_process(parent) and (fate := self._fate(parent)):
            parent = abs(fate)  # it outlived its caller
        carried = self._carried.setdefault(parent, [0, 0])
        carried[0] += 1 + (below[0] if below else 0)
        carried[1] += duration

    def _fate(self, span: int) -> int:
        page = self._pages.get(span >> _PAGE_BITS)
        return page[span & (_PAGE - 1)] if page is not None else 0

    def _settle(self, span: int, fate: int) -> None:
        page = self._pages.get(span >> _PAGE_BITS)
        if page is None:
            page = self._pages[span >> _PAGE_BITS] = array("q", bytes(8 * _PAGE))
        page[span & (_PAGE - 1)] = fate
