"""Writing a run's history: one transaction a batch, by the run's agent alone; and reading back where an agent stopped.

A history that is damaged is moved aside, not overwritten: what is still in the spool is read anew. The agent does so in a
new image of its process (supervisor.py), for SQLite removes the write-ahead log by its name when it closes a connection,
be it by then that of the new history.
"""

from __future__ import annotations

import os
import sqlite3
import time
from array import array

from rheostat_agent.history.query import SELECT_DELIVERIES, DeliveryState
from rheostat_agent.history.schema import (
    HISTORY_ID,
    HISTORY_VERSION,
    check_version,
    is_corrupt,
    prepare_history,
)
from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rheostat_agent.batch import Batch, Row

_WIDTHS = {
    "functions": 5,
    "paths": 14,
    "errors": 9,
    "arguments": 3,
    "threads": 5,
    "skipped": 4,
    "notes": 4,
    "losses": 5,
    "processes": 20,
    "images": 10,
    "segments": 5,
    "event_files": 3,
    "deliveries": 10,
    "open_spans": 12,
    "spans": 12,
}


class HistoryBusy(Exception):
    """Nothing was written; the same batch may be written later. The text says why."""


class HistoryCorrupt(Exception):
    """The history is damaged: it must be moved aside, and the run be read anew. The text says what SQLite says."""


class Resumption(Value):
    """What an agent before us had committed."""

    functions: list[Row]
    paths: list[Row]
    processes: list[Row]
    images: list[Row]  # those not done
    done: list[int]  # bases of the others
    segments: dict[int, list[tuple[int, int, list[int], int]]]  # number, frontier, pending, dropped
    event_files: dict[int, list[tuple[int, int]]]  # number, offset
    open: list[int]  # ids of the spans that were open
    losses: list[Row]
    errors: int
    spans: int
    skipped: list[tuple[str, str]]


class HistoryWriter:
    """The history of one run, open for writing."""

    def __init__(self, path: str) -> None:
        """Open or make the history at *path*. Raises OSError, NewerSchema, HistoryBusy or HistoryCorrupt."""
        self.path = path
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None

    def commit(self, batch: Batch) -> None:
        """Write *batch*, whole or not at all. Raises HistoryBusy if it cannot be written now."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._write(batch)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.DatabaseError) -> Exception:
        """Return what to raise for *error*."""
        if is_corrupt(error):
            return HistoryCorrupt(f"{self.path}: {error}")
        if isinstance(error, sqlite3.OperationalError):  # locked, full, read-only: it may pass
            return HistoryBusy(f"{self.path}: {error}")
        return error

    def _query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        """Return the rows of a query. Raises HistoryBusy or HistoryCorrupt."""
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None

    def _write(self, batch: Batch) -> None:
        run = self._connection.executemany
        run("DELETE FROM open_spans WHERE id = ?", [(span,) for span in batch.closed])
        self._insert("open_spans", batch.opened.values(), "OR REPLACE")
        self._insert("spans", batch.spans)
        for table in ("functions", "errors", "threads", "skipped", "notes"):
            self._insert(table, getattr(batch, table))
        for table in ("paths", "arguments"):
            self._insert(table, getattr(batch, table), "OR REPLACE")
        for table in ("processes", "images", "segments", "event_files", "deliveries"):
            self._insert(table, getattr(batch, table).values(), "OR REPLACE")
        self._insert(
            "losses", [(number, *row) for number, row in batch.losses.items()], "OR REPLACE"
        )
        run("DELETE FROM segments WHERE base = ? AND number = ?", batch.removed_segments)
        run("INSERT OR REPLACE INTO meta VALUES(?, ?)", list(batch.meta.items()))

    def _insert(self, table: str, rows: Any, conflict: str = "") -> None:
        columns = "(rowid, process, time_ns, reason, count)" if table == "losses" else ""
        marks = ", ".join("?" * _WIDTHS[table])
        self._connection.executemany(
            f"INSERT {conflict} INTO {table}{columns} VALUES({marks})", rows
        )

    def is_new(self) -> bool:
        """Say whether nothing has been committed yet."""
        return not self._query("SELECT 1 FROM processes LIMIT 1")

    def read_back(self) -> Resumption:
        """Return where the agent before us stopped. Raises HistoryBusy or HistoryCorrupt."""
        query = self._query
        segments: dict[int, list[tuple[int, int, list[int], int]]] = {}
        for base, number, frontier, pending, dropped in query("SELECT * FROM segments"):
            slots = array("Q", pending).tolist()
            segments.setdefault(base, []).append((number, frontier, slots, dropped))
        event_files: dict[int, list[tuple[int, int]]] = {}
        for base, number, offset in query("SELECT * FROM event_files"):
            event_files.setdefault(base, []).append((number, offset))
        return Resumption(
            functions=query("SELECT * FROM functions ORDER BY id"),
            paths=query("SELECT * FROM paths ORDER BY id"),
            processes=query("SELECT * FROM processes ORDER BY id"),
            images=query("SELECT * FROM images WHERE done = 0"),
            done=[base for (base,) in query("SELECT base FROM images WHERE done = 1")],
            segments=segments,
            event_files=event_files,
            open=[span for (span,) in query("SELECT id FROM open_spans")],
            losses=query("SELECT rowid, * FROM losses"),
            errors=query("SELECT coalesce(max(id), 0) FROM errors")[0][0],
            spans=query("SELECT coalesce(max(rowid), 0) FROM spans")[0][0],
            skipped=query("SELECT what, name FROM skipped"),
        )

    def places(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (span id, parent's id, path, thread) of all ended spans. Raises HistoryBusy or HistoryCorrupt."""
        try:
            yield from self._connection.execute("SELECT id, parent, path, thread FROM spans")
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None

    def error_id(self, base: int, number: int) -> int | None:
        """Return the errors.id of the exception that the image *base* numbered *number*."""
        return self._error("image = ? AND number = ?", (base, number))

    def error_of_type(self, base: int, kind: str) -> int | None:
        """Return the errors.id of the exceptions of the image *base* of which only their type *kind* is known."""
        return self._error(
            "image = ? AND number IS NULL AND time_ns IS NULL AND type = ?", (base, kind)
        )

    def _error(self, condition: str, values: tuple[Any, ...]) -> int | None:
        query = f"SELECT id FROM errors WHERE {condition}"
        try:
            row = self._connection.execute(query, values).fetchone()
        except sqlite3.DatabaseError as error:
            if is_corrupt(error):
                raise self._trouble(error) from None
            raise  # not HistoryBusy: a record that was half taken cannot be taken again, but by another agent
        return row[0] if row else None

    def read_deliveries(self) -> list[DeliveryState]:
        """Return how far each destination has been served. Raises HistoryBusy or HistoryCorrupt."""
        return [DeliveryState(*row) for row in self._query(SELECT_DELIVERIES)]

    def read_meta(self, key: str) -> Any:
        """Return the value kept under *key*, None if there is none."""
        rows = self._query("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Close the history; the write-ahead log is folded into it."""
        self._connection.close()


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    os.chmod(path, 0o600)
    check_version(connection, HISTORY_ID, HISTORY_VERSION, "this run's history")  # changes nothing
    connection.execute("PRAGMA synchronous = OFF")  # first: the next would wait for the disk
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    prepare_history(connection)
    return connection


def move_aside(path: str) -> None:
    """Keep what is at *path* under another name, so that a new history can be made. Raises OSError."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    os.replace(path, f"{path}.corrupt-{len(moved_aside(path))}-{stamp}")
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)


def moved_aside(path: str) -> list[str]:
    """Return the names of the histories that were moved from *path*, the oldest first."""
    directory, _, name = path.rpartition("/")
    return sorted(entry for entry in os.listdir(directory) if entry.startswith(f"{name}.corrupt-"))
