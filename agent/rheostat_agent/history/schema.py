"""The tables of a run's history and of the index, their versions, and how an older file is brought up to date.

history.sqlite (one a run; written by the run's agent alone, read by anybody) in three parts:

    what happened      processes, functions, paths, spans, open_spans, errors, arguments, threads, skipped, notes, losses
    the reader's place images, segments, event_files: what of the spool has been read
    deliveries         how far each destination has been served
    meta               what is kept of the run as a whole

A batch is one transaction over all three, so a record is in `spans` if and only if `segments` says it was read: killing
the agent at any moment neither loses nor doubles one. Synchronous writing is off: a killed process loses nothing that
it wrote, and more than process death is not promised.

index.sqlite holds a row for each run, and the totals of each call path of each run by workflow, so that neither listing
nor comparing ever opens a history.

Times are nanoseconds since the epoch, ids of spans are signed 64-bit integers; what is unknown is NULL, never 0.
"""

from __future__ import annotations

import sqlite3

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Callable

HISTORY_VERSION = 2
INDEX_VERSION = 1
# What SQLite keeps for us in the head of the file: a database without it is somebody else's, whatever its version says.
HISTORY_ID = int.from_bytes(b"Rhis")
INDEX_ID = int.from_bytes(b"Ridx")

HISTORY_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- A process from its start to its end, whatever it executes in between. Number 1 is the program itself.
CREATE TABLE processes(
    id INTEGER PRIMARY KEY,
    base INTEGER,            -- of its first Python image; NULL: none was seen
    span_id INTEGER NOT NULL,
    parent_span_id INTEGER,
    pid INTEGER,
    ppid INTEGER,
    generation INTEGER,      -- forks since the last exec
    name TEXT,
    executable TEXT,
    cwd TEXT,
    argv TEXT,               -- arguments, secrets hidden, separated by U+001F
    python TEXT,             -- version; NULL: not Python, or nothing known
    start_ns INTEGER NOT NULL,
    end_ns INTEGER,          -- NULL while it lives
    exit_code INTEGER,
    signal INTEGER,
    cause TEXT,              -- how it ended, if that is known or was unusual: 'killed by SIGKILL'
    user_s REAL,
    system_s REAL,
    max_rss_bytes INTEGER
);

CREATE TABLE functions(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,      -- qualified, dots throughout
    kind INTEGER NOT NULL,   -- rheostat.spool.layout: FUNCTION …
    file TEXT NOT NULL,
    line INTEGER NOT NULL
);

-- A call path: the parent's path and a function. Self time = total - child - suspended, at least 0.
CREATE TABLE paths(
    id INTEGER PRIMARY KEY,
    parent INTEGER,          -- NULL: directly under a process
    function INTEGER NOT NULL,
    process_name TEXT NOT NULL,
    calls INTEGER NOT NULL,  -- ended calls
    errors INTEGER NOT NULL,
    open INTEGER NOT NULL,
    total_ns INTEGER NOT NULL,
    child_ns INTEGER NOT NULL,      -- time of children on the same thread
    suspended_ns INTEGER NOT NULL,
    items INTEGER NOT NULL,
    min_ns INTEGER,
    max_ns INTEGER,
    histogram BLOB NOT NULL  -- of the durations, see histogram.py
);

-- Ended spans, children before their parents: the rowid is the cursor of exporters. No index while it grows.
CREATE TABLE spans(
    id INTEGER NOT NULL,
    parent INTEGER NOT NULL, -- another span, or the span of its process
    process INTEGER NOT NULL,
    function INTEGER NOT NULL,
    path INTEGER NOT NULL,
    thread INTEGER NOT NULL, -- ident; the last row of `threads` with it before start_ns tells the name
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    error INTEGER,           -- errors.id
    suspended_ns INTEGER,    -- generators only
    items INTEGER,           -- generators only
    cause TEXT               -- NULL: it returned or raised; else why the agent ended it: 'killed by SIGKILL', 'exec'
);

CREATE TABLE open_spans(
    id INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,
    process INTEGER NOT NULL,
    function INTEGER NOT NULL,
    path INTEGER NOT NULL,
    thread INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER,          -- always NULL; the columns are those of spans
    error INTEGER,
    suspended_ns INTEGER,
    items INTEGER,
    cause TEXT
);

-- Exceptions, described once where they arose; also one row for each type of which no more is known, and one for each
-- way in which a process ended calls (type = the signal's name).
CREATE TABLE errors(
    id INTEGER PRIMARY KEY,
    process INTEGER NOT NULL,
    number INTEGER,          -- NULL: only the type is known
    span INTEGER,            -- where it arose; NULL: in no span
    time_ns INTEGER,
    type TEXT NOT NULL,
    message TEXT,            -- NULL: not recorded
    stack TEXT,              -- JSON: [[file, line, function], …], outermost first
    image INTEGER            -- base of the image that numbered it
);
CREATE INDEX errors_by_number ON errors(image, number);

-- What calls were given, where --capture-args asked for it; secrets were hidden in the observed process.
CREATE TABLE arguments(
    span INTEGER PRIMARY KEY,
    listed TEXT NOT NULL,    -- JSON: {name: value, name.length: number, …}
    omitted INTEGER NOT NULL -- arguments beyond the bounds of capture.py
);

CREATE TABLE threads(process INTEGER NOT NULL, ident INTEGER NOT NULL, native_id INTEGER, name TEXT, since_ns INTEGER);
CREATE TABLE skipped(process INTEGER, what TEXT, name TEXT, reason TEXT);
CREATE TABLE notes(process INTEGER, time_ns INTEGER, severity TEXT, text TEXT);
CREATE TABLE losses(
    process INTEGER,         -- NULL: the history's own limits
    time_ns INTEGER,
    reason TEXT NOT NULL,
    count INTEGER            -- calls not recorded for it; NULL: not known
);

CREATE TABLE images(
    base INTEGER PRIMARY KEY,
    process INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    start_ticks INTEGER,     -- of its process, as /proc says; NULL: it was gone before we looked
    started_ns INTEGER NOT NULL,   -- monotonic, like the next two
    exec_ns INTEGER,         -- it said that it was about to exec
    last_ns INTEGER NOT NULL,      -- the latest time in any of its records
    dropped INTEGER NOT NULL,      -- calls that it counted and did not record
    done INTEGER NOT NULL    -- 1: it is dead, and all of it has been read
);
CREATE INDEX images_by_pid ON images(pid);

-- What a destination has acknowledged. The cursor is a rowid of `spans` (traces) or an id of `errors` (logs).
CREATE TABLE deliveries(
    destination TEXT PRIMARY KEY,  -- signal, protocol, address
    cursor INTEGER NOT NULL,
    processes TEXT NOT NULL,       -- ids of those whose spans were acknowledged, separated by spaces
    sent INTEGER NOT NULL,         -- acknowledged
    rejected INTEGER NOT NULL,     -- … of which the backend said that it did not take them (partial success)
    refused INTEGER NOT NULL,      -- not taken for good: sent again by `rheostat send` alone
    refused_from INTEGER,          -- the cursor before the first of those
    waiting INTEGER NOT NULL,      -- still to be sent
    state TEXT NOT NULL,           -- open, done, refused (all that is left will be), absent (it has no such signal)
    reason TEXT NOT NULL           -- what it last had to say for itself
) WITHOUT ROWID;

CREATE TABLE segments(
    base INTEGER NOT NULL,
    number INTEGER NOT NULL,
    frontier INTEGER NOT NULL,     -- slots of it below this one have been looked at …
    pending BLOB NOT NULL,         -- … and settled, except for these (u64 each): open, or not yet written
    dropped INTEGER NOT NULL,
    PRIMARY KEY(base, number)
) WITHOUT ROWID;

CREATE TABLE event_files(
    base INTEGER NOT NULL,
    number INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    PRIMARY KEY(base, number)
) WITHOUT ROWID;
"""

INDEX_TABLES = """
CREATE TABLE runs(
    id TEXT PRIMARY KEY,
    workflow TEXT NOT NULL,
    status TEXT NOT NULL,    -- running, ok, failed, killed, interrupted
    exit_code INTEGER,
    signal INTEGER,
    started_ns INTEGER NOT NULL,
    ended_ns INTEGER,
    wall_ns INTEGER,
    cpu_s REAL,
    max_rss_bytes INTEGER,
    spans INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    processes INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    undelivered INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    command TEXT NOT NULL,
    cwd TEXT NOT NULL,
    directory TEXT NOT NULL
);

CREATE TABLE workflow_paths(
    workflow TEXT NOT NULL,
    run TEXT NOT NULL,
    path TEXT NOT NULL,      -- names joined by ' › '
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    total_ns INTEGER NOT NULL,
    histogram BLOB NOT NULL,
    PRIMARY KEY(workflow, path, run)
) WITHOUT ROWID;
"""


def _add_deliveries(connection: sqlite3.Connection) -> None:
    """Version 2: a cursor for each destination, instead of one in `meta` of which nobody knows any more what it was for.

    And what calls were given.
    """
    _create(connection, "deliveries")
    _create(connection, "arguments")
    connection.execute("DELETE FROM meta WHERE key IN ('exported', 'exported_processes')")


def _create(connection: sqlite3.Connection, table: str) -> None:
    (statement,) = (
        part for part in HISTORY_TABLES.split(";\n") if f"CREATE TABLE {table}(" in part
    )
    connection.execute(statement)


# What brings a file of version n to version n + 1. Released versions stay readable for ever.
HISTORY_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _add_deliveries}
INDEX_MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {}


class NewerSchema(Exception):
    """The file was written by a later Rheostat; it is left untouched."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the file's schema, 0 if it has none yet."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def check_version(connection: sqlite3.Connection, identity: int, newest: int, what: str) -> None:
    """Raise NewerSchema if the file is beyond *newest*, sqlite3.DatabaseError if it is not ours."""
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != identity and (
        found or connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    ):
        raise sqlite3.DatabaseError(f"{what} is the database of another program")
    version = version_of(connection)
    if version > newest:
        raise NewerSchema(
            f"{what} has version {version}, this Rheostat reads up to {newest}: upgrade it to read this"
        )


def prepare(
    connection: sqlite3.Connection,
    identity: int,
    tables: str,
    newest: int,
    migrations: dict[int, Callable[[sqlite3.Connection], None]],
    what: str,
) -> None:
    """Create the tables, or migrate those of an older version, in one transaction.

    Raises NewerSchema, and sqlite3.DatabaseError if the file is not ours.
    """
    check_version(connection, identity, newest, what)
    if version_of(connection) == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection)  # another process may have done it meanwhile
        if version == 0:
            connection.execute(f"PRAGMA application_id = {identity}")
            for statement in tables.split(";\n"):
                connection.execute(statement)
        else:
            for step in range(version, newest):
                migrations[step](connection)
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def prepare_history(connection: sqlite3.Connection) -> None:
    """Bring the history behind *connection* to the present version. Raises as `prepare` does."""
    what = "this run's history"
    prepare(connection, HISTORY_ID, HISTORY_TABLES, HISTORY_VERSION, HISTORY_MIGRATIONS, what)


def prepare_index(connection: sqlite3.Connection) -> None:
    """Bring the index behind *connection* to the present version. Raises as `prepare` does."""
    what = "the index of runs"
    prepare(connection, INDEX_ID, INDEX_TABLES, INDEX_VERSION, INDEX_MIGRATIONS, what)


def is_corrupt(error: sqlite3.DatabaseError) -> bool:
    """Say whether *error* means that the file is damaged, or not a database of ours; not that it is locked or full."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (11, 26) or type(error) is sqlite3.DatabaseError  # SQLITE_CORRUPT, SQLITE_NOTADB
