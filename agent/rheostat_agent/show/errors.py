"""What failed, one line for each kind of error: where it arose, what it was, how often."""

from __future__ import annotations

import sqlite3
from collections import Counter

from rheostat_agent.history.arguments import Arguments, read_arguments
from rheostat_agent.history.fatal import distinct_errors
from rheostat_agent.history.query import Error
from rheostat_agent.show.text import count, fit, plain
from rheostat_agent.show.view import View

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_KINDS = 4
_MAX_LOOKED = 20_000  # errors to count; what ended a process is found beyond that, too

_Kind = tuple[str, str]  # file:line, and what happened there
_Places = dict[int, tuple[str, int, str]]  # file, line and name of a function, by errors.id


def error_lines(
    history: sqlite3.Connection, run: str, view: View, most: int = _MAX_KINDS
) -> Iterator[str]:
    """Yield a line for each kind of error of *run*, at most *most*: what ended a process first, then the frequent ones."""
    seen: Counter[_Kind] = Counter()
    fatal: set[_Kind] = set()
    places = _left_open(history)
    looked_at = 0
    for error, ends_process in distinct_errors(history):
        if error.number is None and error.message is None:
            continue  # only its type is known: counted in the tree
        looked_at += 1
        if looked_at > _MAX_LOOKED and not ends_process:
            continue
        kind = describe(error, places, view.folder)
        seen[kind] += 1
        if ends_process or error.number is None:
            fatal.add(kind)
    ranked = sorted(seen.items(), key=lambda item: (item[0] not in fatal, -item[1]))
    more = "+" if looked_at > _MAX_LOOKED else ""
    for (place, text), times in ranked[:most]:
        often = f" ({times:,}{more} times)" if times > 1 else ""
        line = f"  {place}{': ' if place else ''}{text}{often}"
        yield view.style(fit(line, max(40, view.columns)), "red")
    if len(ranked) > most:
        rest = count(len(ranked) - most, "other kind")
        yield f"  and {rest} of error: rheostat show {run} --errors"


def error_stacks(history: sqlite3.Connection, view: View) -> Iterator[str]:
    """Yield the lines of every error: its stack, and what it was."""
    places = _left_open(history)
    for error, _ in distinct_errors(history):
        if error.number is None and error.message is None:
            continue
        place, text = describe(error, places, view.folder)
        yield ""
        given = read_arguments(history, (error.span,) if error.span else ())
        for file, line, function in error.stack:
            yield f'  File "{plain(file)}", line {line}, in {plain(function)}'
        yield from (f"    given {listed(arguments)}" for arguments in given.values())
        yield view.style(f"  {text}" if error.stack or not place else f"  {place}: {text}", "red")


def listed(arguments: Arguments) -> str:
    """Return what a call was given, on one line."""
    parts = [f"{plain(name)}={plain(repr(value))}" for name, value in arguments.values.items()]
    if arguments.omitted:
        parts.append(f"and {count(arguments.omitted, 'other')}")
    return ", ".join(parts)


def describe(error: Error, places: _Places, folder: str) -> _Kind:
    """Return file:line where *error* arose, empty if that is not known, and what it was."""
    if error.number is None:
        text = plain(error.message or error.type)
        if error.id not in places:
            return "", text
        file, line, name = places[error.id]
        return f"{plain(shortened(file, folder))}:{line}", f"in {plain(name)}, {text}"
    text = plain(error.type if not error.message else f"{error.type}: {error.message}")
    if not error.stack:
        return "", text
    file, line, _ = error.stack[-1]
    return f"{plain(shortened(file, folder))}:{line}", text


def _left_open(history: sqlite3.Connection) -> _Places:
    """Return the innermost functions that ran when processes ended, by errors.id."""
    if not history.execute(
        "SELECT 1 FROM errors WHERE number IS NULL AND message IS NOT NULL"
    ).fetchone():
        return {}  # the usual case, without a look at all spans
    rows = history.execute(
        "SELECT error, file, line, name, max(start_ns) FROM spans JOIN functions ON functions.id = function"
        " WHERE error IN (SELECT id FROM errors WHERE number IS NULL AND message IS NOT NULL) GROUP BY error"
    )
    return {error: (file, line, name) for error, file, line, name, _ in rows}


def shortened(file: str, folder: str) -> str:
    """Return the path *file* as seen from *folder*, if it lies below."""
    return file.removeprefix(folder.rstrip("/") + "/")
