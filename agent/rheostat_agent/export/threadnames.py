"""Names of threads: an ident is used again for other threads, so what its name is depends on the time."""

from __future__ import annotations

from bisect import bisect_right, insort
from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

_BEFORE, _AFTER = -(1 << 63), 1 << 63  # any time that the history can hold
_since = itemgetter(0)


class ThreadNames:
    """What the history says of the names of threads, by process and ident."""

    def __init__(self, history: sqlite3.Connection) -> None:
        """Know nothing yet: that is what `refresh` is for."""
        self.version = 0  # changes when more is known
        self._history = history
        self._known: dict[tuple[int, int], list[tuple[int, str]]] = {}

    def refresh(self) -> None:
        """Look up what is new in the history."""
        query = "SELECT rowid, process, ident, since_ns, name FROM threads WHERE rowid > ? ORDER BY rowid"
        for rowid, process, ident, since, name in self._history.execute(query, (self.version,)):
            self.version = rowid
            insort(self._known.setdefault((process, ident), []), (since, name), key=_since)

    def at(self, process: int, ident: int, time_ns: int) -> tuple[str | None, int, int]:
        """Return the name that the thread *ident* of *process* had at *time_ns*, None if it is not known; and since when
        and until when it had it.
        """
        known = self._known.get((process, ident))
        if not known:
            return None, _BEFORE, _AFTER
        # The first is also that of calls which began before it was told.
        index = max(0, bisect_right(known, time_ns, key=_since) - 1)
        since, name = known[index]
        until = known[index + 1][0] if index + 1 < len(known) else _AFTER
        return name, since if index else _BEFORE, until
