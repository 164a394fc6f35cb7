"""Writing a run's history: one transaction a batch, by the run's agent alone; and reading back where an agent stopped.

A history that cannot be read is moved aside, not overwritten: what is still in the spool is read anew.
"""

from __future__ import annotations

import os
import sqlite3
import time
from array import array

from rheostat_agent.history.schema import prepare_history
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
    "threads": 5,
    "skipped": 4,
    "notes": 4,
    "losses": 5,
    "processes": 20,
    "images": 10,
    "segments": 5,
    "event_files": 3,
    "open_spans": 12,
    "spans": 12,
}


class HistoryBusy(Exception):
    """Nothing was written; the same batch may be written later. The text says why."""


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
        """Open or make the history at *path*. Raises OSError, NewerSchema, or HistoryBusy."""
        self.path = path
        self.moved_aside: str | None = None
        try:
            self._connection = _open(path)
        except sqlite3.OperationalError as error:
            raise HistoryBusy(f"{path}: {error}") from None
        except sqlite3.DatabaseError:
            self.moved_aside = _move_aside(path)
            self._connection = _open(path)

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
        except sqlite3.OperationalError as error:  # locked, full, read-only: it may pass
            raise HistoryBusy(f"{self.path}: {error}") from None

    def _write(self, batch: Batch) -> None:
        run = self._connection.executemany
        run("DELETE FROM open_spans WHERE id = ?", [(span,) for span in batch.closed])
        self._insert("open_spans", batch.opened.values(), "OR REPLACE")
        self._insert("spans", batch.spans)
        for table in ("functions", "errors", "threads", "skipped", "notes"):
            self._insert(table, getattr(batch, table))
        for table in ("paths",):
            self._insert(table, getattr(batch, table), "OR REPLACE")
        for table in ("processes", "images", "segments", "event_files"):
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
        return self._connection.execute("SELECT 1 FROM processes LIMIT 1").fetchone() is None

    def read_back(self) -> Resumption:
        """Return where the agent before us stopped."""
        query = self._connection.execute
        segments: dict[int, list[tuple[int, int, list[int], int]]] = {}
        for base, number, frontier, pending, dropped in query("SELECT * FROM segments"):
            slots = array("Q", pending).tolist()
            segments.setdefault(base, []).append((number, frontier, slots, dropped))
        event_files: dict[int, list[tuple[int, int]]] = {}
        for base, number, offset in query("SELECT * FROM event_files"):
            event_files.setdefault(base, []).append((number, offset))
        return Resumption(
            functions=query("SELECT * FROM functions ORDER BY id").fetchall(),
            paths=query("SELECT * FROM paths ORDER BY id").fetchall(),
            processes=query("SELECT * FROM processes ORDER BY id").fetchall(),
            images=query("SELECT * FROM images WHERE done = 0").fetchall(),
            done=[base for (base,) in query("SELECT base FROM images WHERE done = 1")],
            segments=segments,
            event_files=event_files,
            open=[span for (span,) in query("SELECT id FROM open_spans")],
            losses=query("SELECT rowid, * FROM losses").fetchall(),
            errors=query("SELECT coalesce(max(id), 0) FROM errors").fetchone()[0],
            spans=query("SELECT coalesce(max(rowid), 0) FROM spans").fetchone()[0],
            skipped=query("SELECT what, name FROM skipped").fetchall(),
        )

    def places(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (span id, parent's id, path, thread) of all ended spans."""
        yield from self._connection.execute("SELECT id, parent, path, thread FROM spans")

    def error_id(self, base: int, number: int) -> int | None:
        """Return the errors.id of the exception that the image *base* numbered *number*."""
        query = "SELECT id FROM errors WHERE image = ? AND number IS ?"
        row = self._connection.execute(query, (base, number)).fetchone()
        return row[0] if row else None

    def read_meta(self, key: str) -> Any:
        """Return the value kept under *key*, None if there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Close the history; the write-ahead log is folded into it."""
        self._connection.close()


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    os.chmod(path, 0o600)
    connection.execute("PRAGMA synchronous = OFF")  # first: the next would wait for the disk
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    prepare_history(connection)
    return connection


def _move_aside(path: str) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = f"{path}.corrupt-{stamp}"
    os.replace(path, aside)
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)
    return aside
