"""How to show a run."""

from __future__ import annotations

from rheostat_agent.show.text import Style
from rheostat_agent.values import Value

MAX_LINES = 25


class View(Value):
    """Characters a line, colours, and the folder that paths are shown from; what remains to be read (records, about)."""

    columns: int
    style: Style
    folder: str
    unread: int = 0
    max_lines: int | None = MAX_LINES
