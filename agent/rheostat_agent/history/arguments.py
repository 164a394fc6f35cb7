"""What calls were given, as the history has it."""

from __future__ import annotations

import sqlite3

from rheostat_agent.values import Value

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterable

    Scalar = None | bool | int | float | str

UNCAPTURED = (
    "uncaptured "  # in `meta`, before the base of an image: calls of it that were not captured
)
_AT_ONCE = 500  # spans of one query


class Arguments(Value):
    """What one call was given."""

    values: dict[str, Scalar]  # by name; of what is a container or was cut, name.length
    omitted: int  # arguments that were not captured


def read_arguments(history: sqlite3.Connection, spans: Iterable[int]) -> dict[int, Arguments]:
    """Return what the calls with the ids *spans* were given, as far as that was captured."""
    found: dict[int, Arguments] = {}
    wanted = list(spans)
    for at in range(0, len(wanted), _AT_ONCE):
        piece = wanted[at : at + _AT_ONCE]
        marks = ", ".join("?" * len(piece))
        rows = history.execute(f"SELECT * FROM arguments WHERE span IN ({marks})", piece)
        found.update((span, _arguments(listed, omitted)) for span, listed, omitted in rows)
    return found


def _arguments(listed: str, omitted: int) -> Arguments:
    import json  # where something was captured only: it is not quick to import

    return Arguments(json.loads(listed), omitted)


def has_arguments(history: sqlite3.Connection) -> bool:
    """Say whether the arguments of any call were captured."""
    return history.execute("SELECT 1 FROM arguments LIMIT 1").fetchone() is not None


def count_uncaptured(history: sqlite3.Connection) -> int:
    """Return of how many calls at least the arguments were not captured, there being too many in a second."""
    query = "SELECT coalesce(sum(value), 0) FROM meta WHERE key GLOB ?"
    total: int = history.execute(query, (f"{UNCAPTURED}*",)).fetchone()[0]
    return total
