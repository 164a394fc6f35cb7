"""Reading: what a run's history holds, as values. Which runs there are is asked of runs.py.

Nothing here changes what is kept, and all of it may run while the agent writes: a reader of a WAL file sees one moment of
it.
"""

from __future__ import annotations

import os
import sqlite3

from rheostat_agent.history.histogram import Histogram
from rheostat_agent.history.schema import (
    HISTORY_ID,
    HISTORY_VERSION,
    check_version,
    prepare_history,
    version_of,
)
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HISTORY_NAME = "history.sqlite"
INDEX_NAME = "index.sqlite"
BUSY_S = 5.0
OPEN, DONE, REFUSED, ABSENT = "open", "done", "refused", "absent"  # states of a delivery


class HistoryMissing(Exception):
    """The run has no history that can be read (yet); the text says why."""


class Run(Value):
    """A run's row in the index."""

    id: str
    workflow: str
    status: str  # running, ok, failed, killed, interrupted
    exit_code: int | None
    signal: int | None
    started_ns: int
    ended_ns: int | None
    wall_ns: int | None
    cpu_s: float | None
    max_rss_bytes: int | None
    spans: int
    errors: int
    processes: int
    lost: int
    undelivered: int
    complete: bool
    command: str
    cwd: str
    directory: str


class Process(Value):
    """A process of the run; the columns of `processes`."""

    id: int
    base: int | None
    span_id: int
    parent_span_id: int | None
    pid: int | None
    ppid: int | None
    generation: int | None
    name: str | None
    executable: str | None
    cwd: str | None
    argv: str | None  # separated by U+001F
    python: str | None
    start_ns: int
    end_ns: int | None
    exit_code: int | None
    signal: int | None
    cause: str | None
    user_s: float | None
    system_s: float | None
    max_rss_bytes: int | None


class Function(Value):
    """A function; the columns of `functions`."""

    id: int
    name: str
    kind: int
    file: str
    line: int


class PathTotals(Value):
    """A call path and its totals; the columns of `paths`."""

    id: int
    parent: int | None
    function: int
    process_name: str
    calls: int
    errors: int
    open: int
    total_ns: int
    child_ns: int
    suspended_ns: int
    items: int
    min_ns: int | None
    max_ns: int | None
    histogram: Histogram

    @property
    def self_ns(self) -> int:
        """Return the time spent in the function itself and in what it called that is not recorded."""
        return max(0, self.total_ns - self.child_ns - self.suspended_ns)


class Span(Value):
    """A call; the columns of `spans`. end_ns is None while it runs."""

    id: int
    parent: int
    process: int
    function: int
    path: int
    thread: int
    start_ns: int
    end_ns: int | None
    error: int | None
    suspended_ns: int | None
    items: int | None
    cause: str | None


class Error(Value):
    """An exception, or another way in which a call failed; the columns of `errors`."""

    id: int
    process: int
    number: int | None
    span: int | None
    time_ns: int | None
    type: str
    message: str | None
    stack: list[
        tuple[str, int, str]
    ]  # (file, line, function), outermost first; empty: not recorded


class DeliveryState(Value):
    """How far a destination has been served; the columns of `deliveries`."""

    destination: str
    cursor: int = 0
    processes: str = ""
    sent: int = 0
    rejected: int = 0
    refused: int = 0
    refused_from: int | None = None
    waiting: int = 0
    state: str = OPEN
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Say whether a later command is to go on."""
        return self.state == OPEN

    @property
    def undelivered(self) -> int:
        """Return how many the destination does not have, and is meant to."""
        return 0 if self.state == ABSENT else self.waiting + self.refused


def _names(kind: type[Value]) -> str:
    return ", ".join(kind.fields)


_SPAN_COLUMNS = _names(Span)
SELECT_DELIVERIES = f"SELECT {_names(DeliveryState)} FROM deliveries ORDER BY destination"


def _uri(path: str) -> str:
    """Return the URI by which SQLite opens *path* if it is there (sqlite.org/uri.html)."""
    quoted = os.path.abspath(path)
    for character in "%?#":
        quoted = quoted.replace(character, f"%{ord(character):02x}")
    return f"file:{quoted}?mode=rw"


def connect_read_only(path: str) -> sqlite3.Connection:
    """Return a connection to the SQLite file at *path* that changes nothing. Raises sqlite3.OperationalError.

    It is opened for writing all the same: where the last writer was killed, SQLite must recover the write-ahead log
    before it can read, and refuses to do so on behalf of a connection that may not write.
    """
    connection = sqlite3.connect(_uri(path), uri=True, timeout=BUSY_S, isolation_level=None)
    connection.execute("PRAGMA query_only = 1")
    return connection


def open_history(run_directory: str) -> sqlite3.Connection:
    """Return a read-only connection to the history of the run in *run_directory*.

    Raises HistoryMissing where there is none yet, NewerSchema where a later Rheostat wrote it.
    """
    path, name = f"{run_directory}/{HISTORY_NAME}", os.path.basename(run_directory)
    try:
        connection = connect_read_only(path)
        check_version(connection, HISTORY_ID, HISTORY_VERSION, f"the history of run {name}")
        version = version_of(connection)
        if version == 0:
            raise HistoryMissing(f"the history of run {name} is being made: {path}")
        if version < HISTORY_VERSION:  # tables are added, nothing is changed for whoever writes it
            connection.execute("PRAGMA query_only = 0")
            prepare_history(connection)
            connection.execute("PRAGMA query_only = 1")
    except sqlite3.DatabaseError as error:
        text = "is not there" if not os.path.exists(path) else f"cannot be read: {error}"
        raise HistoryMissing(f"the history of run {name} {text}: {path}") from None
    return connection


def read_meta(history: sqlite3.Connection, key: str) -> Any:
    """Return the value kept under *key*, None if there is none."""
    row = history.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def read_deliveries(history: sqlite3.Connection) -> list[DeliveryState]:
    """Return how far each destination has been served, by its name."""
    return [DeliveryState(*row) for row in history.execute(SELECT_DELIVERIES)]


def read_processes(history: sqlite3.Connection) -> list[Process]:
    """Return the processes of the run, in the order in which they were found."""
    return list(select_processes(history, "id > ?", 0))


def select_processes(history: sqlite3.Connection, condition: str, value: int) -> Iterator[Process]:
    """Yield the processes for which *condition* holds with *value*, by id."""
    query = f"SELECT {_names(Process)} FROM processes WHERE {condition} ORDER BY id"
    for row in history.execute(query, (value,)):
        yield Process(*row)


def read_functions(history: sqlite3.Connection) -> dict[int, Function]:
    """Return the functions of the run by id."""
    rows = history.execute(f"SELECT {_names(Function)} FROM functions")
    return {row[0]: Function(*row) for row in rows}


def read_paths(history: sqlite3.Connection) -> list[PathTotals]:
    """Return the call paths of the run; a parent comes before its children."""
    rows = history.execute(f"SELECT {_names(PathTotals)} FROM paths ORDER BY id")
    return [_path(row) for row in rows]


def _path(row: tuple[Any, ...]) -> PathTotals:
    values = list(row)
    values[13] = Histogram.from_bytes(values[13])
    return PathTotals(*values)


def read_spans(history: sqlite3.Connection, after: int = 0) -> Iterator[tuple[int, Span]]:
    """Yield (rowid, span) of the ended spans behind the cursor *after*, in the order in which they were read."""
    query = f"SELECT rowid, {_SPAN_COLUMNS} FROM spans WHERE rowid > ? ORDER BY rowid"
    for rowid, *row in history.execute(query, (after,)):
        yield rowid, Span(*row)


def read_span_rows(
    history: sqlite3.Connection, after: int, most: int
) -> list[tuple[int, tuple[Any, ...]]]:
    """Return (rowid, the columns of a Span) of at most *most* ended spans behind the cursor *after*."""
    query = f"SELECT rowid, {_SPAN_COLUMNS} FROM spans WHERE rowid > ? ORDER BY rowid LIMIT ?"
    return [(row[0], row[1:]) for row in history.execute(query, (after, most))]


def read_open_spans(history: sqlite3.Connection) -> list[Span]:
    """Return the spans that were open when the agent last wrote."""
    rows = history.execute(f"SELECT {_SPAN_COLUMNS} FROM open_spans ORDER BY start_ns")
    return [Span(*row) for row in rows]


def read_errors(history: sqlite3.Connection, after: int = 0) -> dict[int, Error]:
    """Return the errors of the run by id, those behind *after*."""
    return {error.id: error for error in select_errors(history, "id > ?", (after,))}


def select_errors(
    history: sqlite3.Connection, condition: str, values: tuple[Any, ...] = (), order: str = ""
) -> Iterator[Error]:
    """Yield the errors for which *condition* holds with *values*, by id; *order* may say DESC or LIMIT."""
    query = f"SELECT {_names(Error)} FROM errors WHERE {condition} ORDER BY id {order}"
    for row in history.execute(query, values):
        yield _error(row)


def _error(row: tuple[Any, ...]) -> Error:
    values = list(row)
    values[7] = _stack(values[7])
    return Error(*values)


def _stack(text: str | None) -> list[tuple[str, int, str]]:
    if not text:
        return []
    import json  # where something failed only: it is not quick to import

    return [(file, line, function) for file, line, function in json.loads(text)]
