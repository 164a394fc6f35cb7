"""Making the index anew from the histories of the runs, where it was damaged, is not ours, or was removed.

What cannot be read of a run is left out; a run that goes on writes its own row again within seconds.
"""

from __future__ import annotations

import os
import sqlite3

from rheostat_agent.endings import status_of
from rheostat_agent.history.pathnames import named_totals
from rheostat_agent.history.query import (
    HistoryMissing,
    Run,
    open_history,
    read_deliveries,
    read_functions,
    read_meta,
    read_paths,
    read_processes,
)
from rheostat_agent.history.schema import NewerSchema
from rheostat_agent.rundirectory import RUN, RunInfo

TYPE_CHECKING = False  # typing takes longer than the rest of the start
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rheostat_agent.history.pathnames import Totals


def read_runs(state: str) -> Iterator[tuple[Run, list[Totals]]]:
    """Yield the row of each run of which there is a history, and the totals of its call paths if it is complete."""
    runs = f"{state}/runs"
    for name in os.listdir(runs) if os.path.isdir(runs) else ():
        try:
            info = RunInfo.read(f"{runs}/{name}/{RUN}")
            history = open_history(f"{runs}/{name}")
        except (OSError, ValueError, HistoryMissing, NewerSchema):
            continue
        try:
            run = _row(info, f"{runs}/{name}", history)
            yield run, _totals(history) if run.complete else []
        except (sqlite3.DatabaseError, IndexError):  # damaged as well, or nothing in it yet
            continue
        finally:
            history.close()


def _row(info: RunInfo, directory: str, history: sqlite3.Connection) -> Run:
    processes = read_processes(history)
    program = processes[0]
    is_over = program.end_ns is not None
    spans = _number(history, "SELECT max(rowid) FROM spans")
    return Run(
        id=info.id,
        workflow=info.workflow,
        status=status_of(is_over, program.exit_code, program.signal),
        exit_code=program.exit_code,
        signal=program.signal,
        started_ns=program.start_ns,
        ended_ns=program.end_ns,
        wall_ns=program.end_ns - program.start_ns if program.end_ns is not None else None,
        cpu_s=(program.user_s or 0.0) + (program.system_s or 0.0)
        if program.user_s is not None
        else None,
        max_rss_bytes=program.max_rss_bytes,
        spans=spans,
        errors=_number(history, "SELECT sum(errors) FROM paths"),
        processes=len(processes),
        lost=_number(history, "SELECT sum(count) FROM losses"),
        undelivered=sum(each.undelivered for each in read_deliveries(history)),
        complete=bool(read_meta(history, "complete")),
        command=" ".join(info.command),
        cwd=info.cwd,
        directory=directory,
    )


def _totals(history: sqlite3.Connection) -> list[Totals]:
    names = {number: function.name for number, function in read_functions(history).items()}
    return named_totals(read_paths(history), names)


def _number(history: sqlite3.Connection, query: str) -> int:
    return history.execute(query).fetchone()[0] or 0
