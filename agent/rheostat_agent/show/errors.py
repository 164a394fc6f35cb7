"""What failed, one line for each kind of error: where it arose, what it was, how often."""

from __future__ import annotations

import sqlite3
from collections import Counter

from rheostat_agent.history.fatal import distinct_errors
from rheostat_agent.history.query import Error, read_errors
from rheostat_agent.show.text import count, fit, plain
from rheostat_agent.show.view import View

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_KINDS = 4

_Kind = tuple[str, str]  # file:line, and what happened there


def error_lines(
    history: sqlite3.Connection, run: str, view: View, most: int = _MAX_KINDS
) -> Iterator[str]:
    """Yield a line for each kind of error of *run*, at most *most*: what ended a process first, then the frequent ones."""
    seen: Counter[_Kind] = Counter()
    fatal: set[_Kind] = set()
    for error, ends_process in distinct_errors(read_errors(history)):
        if error.number is None and error.message is None:
            continue  # only its type is known: counted in the tree
        kind = describe(history, error, view.folder)
        seen[kind] += 1
        if ends_process or error.number is None:
            fatal.add(kind)
    ranked = sorted(seen.items(), key=lambda item: (item[0] not in fatal, -item[1]))
    for (place, text), times in ranked[:most]:
        often = f" ({times:,} times)" if times > 1 else ""
        line = f"  {place}{': ' if place else ''}{text}{often}"
        yield view.style(fit(line, max(40, view.columns)), "red")
    if len(ranked) > most:
        rest = count(len(ranked) - most, "other kind")
        yield f"  and {rest} of error: rheostat show {run} --errors"


def describe(history: sqlite3.Connection, error: Error, folder: str) -> _Kind:
    """Return file:line where *error* arose, empty if that is not known, and what it was."""
    if error.number is None:
        return _left_open(history, error, folder)
    text = error.type if not error.message else f"{error.type}: {error.message}"
    if not error.stack:
        return "", plain(text)
    file, line, _ = error.stack[-1]
    return f"{plain(shortened(file, folder))}:{line}", plain(text)


def _left_open(history: sqlite3.Connection, error: Error, folder: str) -> _Kind:
    """Return the innermost function that ran when a process ended, and how that did."""
    text = plain(error.message or error.type)
    row = history.execute(
        "SELECT file, line, name FROM spans JOIN functions ON functions.id = function"
        " WHERE error = ? ORDER BY start_ns DESC LIMIT 1",
        (error.id,),
    ).fetchone()
    if row is None:
        return "", text
    file, line, name = row
    return f"{plain(shortened(file, folder))}:{line}", f"in {plain(name)}, {text}"


def shortened(file: str, folder: str) -> str:
    """Return the path *file* as seen from *folder*, if it lies below."""
    return file.removeprefix(folder.rstrip("/") + "/")
