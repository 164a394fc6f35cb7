"""The processes of a run, as the history comes to know them: which live, and which have ended and are still to be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rheostat_agent.history.query import Process, select_processes

if TYPE_CHECKING:
    import sqlite3


class Processes:
    """Those of one run. A run may have tens of thousands: only what is new and what lives is looked at again."""

    def __init__(self, history: sqlite3.Connection, told: set[int]) -> None:
        """*told*: ids of those that were sent."""
        self.spans: set[int] = set()  # their own
        self.living: dict[int, Process] = {}  # by id
        self.ended: list[Process] = []  # not sent yet
        self._history = history
        self._told = told
        self._last = 0

    def refresh(self) -> None:
        """Look again."""
        for number in list(self.living):
            for process in select_processes(self._history, "id = ?", number):
                self._know(process)
        for process in select_processes(self._history, "id > ?", self._last):
            self._last = process.id
            self.spans.add(process.span_id)
            self._know(process)

    def take_ended(self) -> list[Process]:
        """Return those that have ended since the last time."""
        ended, self.ended = self.ended, []
        return ended

    def _know(self, process: Process) -> None:
        if process.end_ns is None:
            self.living[process.id] = process
            return
        self.living.pop(process.id, None)
        if process.id not in self._told:
            self.ended.append(process)
