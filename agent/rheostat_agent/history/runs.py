"""Which runs there are: the index, and the run that a name means."""

from __future__ import annotations

import os
import sqlite3

from rheostat_agent.history.index import open_index_to_write
from rheostat_agent.history.query import INDEX_NAME, Run, connect_read_only
from rheostat_agent.history.schema import (
    INDEX_ID,
    INDEX_VERSION,
    check_version,
    is_corrupt,
    version_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RunNotFound(Exception):
    """No run, or more than one, goes by that name; the text says which."""


def open_index(state: str) -> sqlite3.Connection | None:
    """Return a read-only connection to the index of runs, None if no run was ever made."""
    try:
        connection = connect_read_only(f"{state}/{INDEX_NAME}")
        check_version(connection, INDEX_ID, INDEX_VERSION, "the index of runs")
        if version_of(connection) == 0:
            return None
    except sqlite3.OperationalError:
        if os.path.exists(f"{state}/{INDEX_NAME}"):
            raise
        return None
    return connection


def list_runs(state: str, workflow: str | None = None, limit: int | None = None) -> list[Run]:
    """Return the runs in the index, newest first. An index that is damaged or gone is made anew from the histories.

    Raises NewerSchema or sqlite3.OperationalError.
    """
    is_gone = not os.path.exists(f"{state}/{INDEX_NAME}") and bool(_listed(f"{state}/runs"))
    try:
        if not is_gone and not _is_cut(f"{state}/{INDEX_NAME}"):
            return _list_runs(state, workflow, limit)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
    open_index_to_write(state, is_suspect=True).close()
    return _list_runs(state, workflow, limit)


def _is_cut(path: str) -> bool:
    """Say whether the file is shorter than its head says (sqlite.org/fileformat2.html): rows may be missing without an error."""
    try:
        with open(path, "rb") as file:
            head = file.read(32)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return False
    return len(head) == 32 and size < int.from_bytes(head[16:18]) * int.from_bytes(head[28:32])


def _list_runs(state: str, workflow: str | None, limit: int | None) -> list[Run]:
    index = open_index(state)
    if index is None:
        return []
    query = f"SELECT {', '.join(Run.fields)} FROM runs WHERE ?1 IS NULL OR workflow = ?1"
    rows = index.execute(
        f"{query} ORDER BY started_ns DESC, id LIMIT ?2", (workflow, -1 if limit is None else limit)
    ).fetchall()
    index.close()
    return [_run(row) for row in rows]


def _run(row: tuple[Any, ...]) -> Run:
    values = list(row)
    values[15] = bool(values[15])
    return Run(*values)


def find_run(state: str, name: str) -> str:
    """Return the directory of the run that *name* means: an id, the beginning of one, or 'last'. Raises RunNotFound."""
    runs = f"{state}/runs"
    known = [run for run in _listed(runs) if os.path.isfile(f"{runs}/{run}/run")]
    if not known:
        raise RunNotFound("there are no runs yet: start one by `rheostat run SCRIPT`")
    if name == "last":
        return max((f"{runs}/{run}" for run in known), key=_started)
    found = (
        [name] if name in known else sorted(run for run in known if name and run.startswith(name))
    )
    if len(found) == 1:
        return f"{runs}/{found[0]}"
    if found:
        raise RunNotFound(f"{len(found)} runs begin with {name!r}: {', '.join(found[:5])}")
    raise RunNotFound(f"no run begins with {name!r}: `rheostat runs` lists them")


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _started(directory: str) -> int:
    return os.stat(f"{directory}/run").st_mtime_ns
