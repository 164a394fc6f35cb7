"""Writing the index over all runs. Each agent writes a few rows, seldom, so that twenty runs do not wait on each other."""

from __future__ import annotations

import os
import sqlite3

from rheostat_agent.history.query import INDEX_NAME, Run
from rheostat_agent.history.schema import prepare_index

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_RUN_COLUMNS = 19


class Index:
    """The index of the state directory, open for writing."""

    def __init__(self, state: str) -> None:
        """Open or make it; one that cannot be read is made anew. Raises NewerSchema or sqlite3.OperationalError."""
        path = f"{state}/{INDEX_NAME}"
        try:
            self._connection = _open(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            os.replace(path, f"{path}.corrupt")
            self._connection = _open(path)

    def put(self, run: Run) -> None:
        """Write the row of *run*."""
        marks = ", ".join("?" * _RUN_COLUMNS)
        self._connection.execute(f"INSERT OR REPLACE INTO runs VALUES({marks})", run.as_tuple())

    def put_paths(self, run: Run, rows: Iterable[tuple[str, int, int, int, bytes]]) -> None:
        """Write the totals of the call paths of *run*: (path, calls, errors, total_ns, histogram)."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        key = (run.workflow, run.id)
        connection.execute("DELETE FROM workflow_paths WHERE workflow = ? AND run = ?", key)
        connection.executemany(
            "INSERT OR REPLACE INTO workflow_paths(workflow, run, path, calls, errors, total_ns, histogram)"
            " VALUES(?, ?, ?, ?, ?, ?, ?)",
            ((run.workflow, run.id, *row) for row in rows),
        )
        connection.execute("COMMIT")

    def remove(self, runs: Iterable[str]) -> None:
        """Forget *runs*."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for run in runs:
            connection.execute("DELETE FROM workflow_paths WHERE run = ?", (run,))
            connection.execute("DELETE FROM runs WHERE id = ?", (run,))
        connection.execute("COMMIT")

    def query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the index."""
        self._connection.close()


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    os.chmod(path, 0o600)
    connection.execute("PRAGMA synchronous = OFF")  # first: the next would wait for the disk
    connection.execute("PRAGMA journal_mode = WAL")
    prepare_index(connection)
    return connection
