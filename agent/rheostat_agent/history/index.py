"""Writing the index over all runs. Each agent writes a few rows, seldom, so that twenty runs do not wait on each other.

The index holds nothing that the histories do not hold: where it is damaged, not ours or gone it is made anew from them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3

from rheostat_agent.history.query import INDEX_NAME, Run
from rheostat_agent.history.schema import (
    INDEX_ID,
    INDEX_VERSION,
    check_version,
    is_corrupt,
    prepare_index,
)

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rheostat_agent.history.pathnames import Totals

_RUN_COLUMNS = 19


class Index:
    """The index of the state directory, open for writing."""

    def __init__(self, state: str) -> None:
        """Open or make it. Raises NewerSchema or sqlite3.OperationalError."""
        self._state = state
        self._connection = open_index_to_write(state)

    def put(self, run: Run) -> None:
        """Write the row of *run*."""
        self._write(lambda connection: _put(connection, run))

    def put_paths(self, run: Run, rows: Sequence[Totals]) -> None:
        """Write the totals of the call paths of *run*."""
        self._write(lambda connection: _put_paths(connection, run, rows))

    def remove(self, runs: Iterable[str]) -> None:
        """Forget *runs*."""
        keys = [(run,) for run in runs]
        self._write(lambda connection: _remove(connection, keys))

    def _write(self, act: Callable[[sqlite3.Connection], None]) -> None:
        """Do *act* as one transaction, in a new index if this one turns out to be damaged."""
        try:
            _in_transaction(self._connection, act)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            self._connection.close()
            self._connection = open_index_to_write(self._state, is_suspect=True)
            _in_transaction(self._connection, act)

    def close(self) -> None:
        """Close the index."""
        self._connection.close()


def open_index_to_write(state: str, is_suspect: bool = False) -> sqlite3.Connection:
    """Return a connection to the index; one that is damaged is kept as `.corrupt`, and one that is made knows all runs.

    All of it is looked through where it *is_suspect*, for that takes its time; its head always. Raises NewerSchema or
    sqlite3.OperationalError.
    """
    path = f"{state}/{INDEX_NAME}"
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Of several processes that find it damaged, one moves it aside: never the new one of another.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        is_new = not os.path.exists(path)
        try:
            connection = _open(path, is_suspect)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            _move_aside(path)
            is_new = True
            connection = _open(path, is_suspect=False)
        if is_new:
            _in_transaction(connection, lambda connection: _fill(connection, state))
        return connection
    finally:
        os.close(descriptor)


def _move_aside(path: str) -> None:
    os.replace(path, f"{path}.corrupt")
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.unlink(path + suffix)


def _open(path: str, is_suspect: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        os.chmod(path, 0o600)
        check_version(connection, INDEX_ID, INDEX_VERSION, "the index of runs")  # changes nothing
        connection.execute("PRAGMA synchronous = OFF")  # first: the next would wait for the disk
        connection.execute("PRAGMA journal_mode = WAL")
        prepare_index(connection)
        if is_suspect:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
    except BaseException:
        connection.close()
        raise
    return connection


def _fill(connection: sqlite3.Connection, state: str) -> None:
    """Write the rows of the runs that are there."""
    from rheostat_agent.history.rebuild import read_runs

    for run, paths in read_runs(state):
        _put(connection, run)
        _put_paths(connection, run, paths)


def _in_transaction(
    connection: sqlite3.Connection, act: Callable[[sqlite3.Connection], None]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        act(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _put(connection: sqlite3.Connection, run: Run) -> None:
    marks = ", ".join("?" * _RUN_COLUMNS)
    connection.execute(f"INSERT OR REPLACE INTO runs VALUES({marks})", run.as_tuple())


def _put_paths(connection: sqlite3.Connection, run: Run, rows: Sequence[Totals]) -> None:
    key = (run.workflow, run.id)
    connection.execute("DELETE FROM workflow_paths WHERE workflow = ? AND run = ?", key)
    connection.executemany(
        "INSERT OR REPLACE INTO workflow_paths(workflow, run, path, calls, errors, total_ns, histogram)"
        " VALUES(?, ?, ?, ?, ?, ?, ?)",
        ((run.workflow, run.id, *row) for row in rows),
    )


def _remove(connection: sqlite3.Connection, keys: list[tuple[str]]) -> None:
    connection.executemany("DELETE FROM workflow_paths WHERE run = ?", keys)
    connection.executemany("DELETE FROM runs WHERE id = ?", keys)
