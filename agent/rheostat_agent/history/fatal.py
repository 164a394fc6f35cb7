"""The exception that ends a program is described twice: where it arose, and when it leaves `__main__`, by then with its text.

Here the two are known as one, so that it is told once. A run may have failed hundreds of thousands of times: errors are
read one by one.
"""

from __future__ import annotations

import sqlite3

from rheostat_agent.history.query import Error, select_errors

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_TRIED = 100  # descriptions of one type, in search of the one that is meant


def read_error(history: sqlite3.Connection, number: int) -> Error | None:
    """Return the error *number*, None if there is none."""
    return next(select_errors(history, "id = ?", (number,)), None)


def read_fatal(history: sqlite3.Connection, after: int = 0) -> list[Error]:
    """Return the exceptions that left the `__main__` of their processes, those behind *after*."""
    return list(select_errors(history, "span IS NULL AND number IS NOT NULL AND id > ?", (after,)))


def origin_of(history: sqlite3.Connection, fatal: Error) -> Error | None:
    """Return the description of the exception *fatal* where it arose; None if that was in no recorded call."""
    before = "process = ? AND type = ? AND id < ? AND span IS NOT NULL"
    found = select_errors(
        history, before, (fatal.process, fatal.type, fatal.id), f"DESC LIMIT {_MAX_TRIED}"
    )
    return next((error for error in found if _may_be(error, fatal)), None)


def _may_be(error: Error, fatal: Error) -> bool:
    return error.stack[-1:] == fatal.stack[-1:] and error.message in (None, fatal.message)


def distinct_errors(history: sqlite3.Connection) -> Iterator[tuple[Error, bool]]:
    """Yield each exception once, and whether it ended its process: then with the text that it had by that time."""
    fatal = {error.id: error for error in read_fatal(history)}
    texts: dict[int, Error] = {}
    for error in list(fatal.values()):
        origin = origin_of(history, error)
        if origin is not None:
            texts[origin.id] = fatal.pop(error.id)
    told = {error.id for error in texts.values()}
    for error in select_errors(history, "TRUE"):
        if error.id in texts:
            yield with_text_of(error, texts[error.id]), True
        elif error.id not in told:
            yield error, error.id in fatal


def with_text_of(origin: Error, fatal: Error) -> Error:
    """Return *origin* with the text of *fatal*, which is the same exception."""
    return Error(**{**origin.as_dict(), "message": fatal.message})
