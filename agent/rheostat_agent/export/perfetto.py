"""A run in the Trace Event Format, which ui.perfetto.dev and chrome://tracing open. Times in microseconds.

A track there is a stack: what overlaps must nest. Tasks of an event loop and suspended generators overlap on their thread
and do not nest; they get tracks of their own beside it. So a call stands on a track below its caller, or on an empty one.
"""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, TextIO

from rheostat_agent.export.spans import clean
from rheostat_agent.history.query import read_functions, read_processes
from rheostat_agent.rundirectory import RunInfo

_Open = tuple[int, int]  # id and end of a call that goes on at the present moment


def write_perfetto(history: sqlite3.Connection, info: RunInfo, file: TextIO) -> None:
    """Write the run."""
    file.write('{"displayTimeUnit":"ns","traceEvents":[\n')
    separator = ""
    for event in _events(history, info.started_ns):
        file.write(separator + json.dumps(event))
        separator = ",\n"
    file.write("\n]}\n")


def _events(history: sqlite3.Connection, began_ns: int) -> Iterator[dict[str, Any]]:
    functions = read_functions(history)
    names = {number: clean(function.name) for number, function in functions.items()}
    threads = _thread_names(history)
    tracks: dict[tuple[int, int, int], int] = {}  # by process, thread and lane
    for process in read_processes(history):
        yield _named("process_name", process.id, 0, process.name or "process")
    present, lanes = None, _Lanes()
    for (
        number,
        parent,
        process_id,
        function,
        thread,
        start_ns,
        end_ns,
        error,
        suspended_ns,
    ) in history.execute(
        "SELECT id, parent, process, function, thread, start_ns, end_ns, error, suspended_ns FROM spans"
        " ORDER BY process, thread, start_ns, end_ns DESC, id"
    ):
        if present != (process_id, thread):
            present, lanes = (process_id, thread), _Lanes()
        lane = lanes.place(number, parent, start_ns, end_ns, suspended_ns is not None)
        key = process_id, thread, lane
        if key not in tracks:
            tracks[key] = len(tracks) + 1
            name = threads.get((process_id, thread), str(thread))
            beside = f" · {lane + 1}" if lane else ""
            yield _named("thread_name", process_id, tracks[key], name + beside)
        call: dict[str, Any] = {
            "ph": "X",
            "name": names[function],
            "pid": process_id,
            "tid": tracks[key],
            "ts": (start_ns - began_ns) / 1000,
            "dur": (end_ns - start_ns) / 1000,
        }
        if error is not None:
            call["args"] = {"error": True}
        yield call


def _thread_names(history: sqlite3.Connection) -> dict[tuple[int, int], str]:
    """Return the names of threads by process and ident. Threads that had an ident one after the other share a track."""
    rows = history.execute(
        "SELECT process, ident, name, count(DISTINCT name), min(since_ns) FROM threads GROUP BY process, ident"
    )
    return {
        (process, ident): name if names == 1 else f"{name}, …"
        for process, ident, name, names, _ in rows
    }


def _named(kind: str, process: int, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": track, "args": {"name": clean(name)}}


class _Lanes:
    """The tracks of one thread, each with the calls that go on, the innermost last."""

    def __init__(self) -> None:
        self._lanes: list[list[_Open]] = [[]]

    def place(
        self, number: int, parent: int, start_ns: int, end_ns: int, is_generator: bool
    ) -> int:
        """Return the lane for a call; calls come by their start. The first is not for generators."""
        first, empty = int(is_generator), None
        for at, lane in enumerate(self._lanes):
            while lane and lane[-1][1] <= start_ns:
                lane.pop()
            if at >= first and lane and lane[-1][0] == parent and end_ns <= lane[-1][1]:
                lane.append((number, end_ns))
                return at
            if at >= first and not lane and empty is None:
                empty = at
        if empty is None:
            self._lanes.append([])
            empty = len(self._lanes) - 1
        self._lanes[empty].append((number, end_ns))
        return empty
