"""How commands come to a run: the state directory, agents for what was left unfinished, and the history."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from rheostat_agent.configuration.otel import ConfigurationRefused
from rheostat_agent.configuration.settings import delivery_environment
from rheostat_agent.history.query import (
    HistoryMissing,
    Run,
    open_history,
    read_meta,
)
from rheostat_agent.history.runs import RunNotFound, find_run, list_runs
from rheostat_agent.history.schema import NewerSchema
from rheostat_agent.recovery import is_read, recover, start_agent
from rheostat_agent.rundirectory import ENDED, LOG, RUN, Ending, RunInfo
from rheostat_agent.state import StateUnusable, state_directory

_POLL_S = 0.02
_MAX_ATTEMPTS = 3  # to have a run read by an agent


class Trouble(Exception):
    """The command cannot be done; the text is for the user."""


def open_state(recovers: bool = True) -> Path:
    """Return the state directory, having started agents for what others left unfinished if it *recovers*. Raises Trouble."""
    try:
        state, _ = state_directory(os.environ)
    except StateUnusable as error:
        raise Trouble(str(error)) from None
    if recovers:
        recover(state, agents_environment())
    return Path(state)


def agents_environment() -> dict[str, str]:
    """Return the environment for agents: with where to send to, as the user's own file says it. Raises Trouble."""
    try:
        return delivery_environment(os.environ, {})
    except ConfigurationRefused as error:
        raise Trouble(str(error)) from None


def find(state: Path, words: list[str]) -> Path:
    """Return the directory of the run that *words* name, the last one by default. Raises Trouble."""
    if len(words) > 1:
        raise Trouble(f"one run at a time: {' '.join(words)}")
    try:
        return Path(find_run(str(state), words[0] if words else "last"))
    except RunNotFound as error:
        raise Trouble(str(error)) from None


def all_runs(state: Path, workflow: str | None = None) -> list[Run]:
    """Return the runs, the newest first. Of one that is not in the index (yet) its directory tells. Raises Trouble."""
    try:
        found = list_runs(str(state))
    except (sqlite3.DatabaseError, NewerSchema) as error:
        raise Trouble(f"the index of runs cannot be read: {error}") from None
    known = {run.id for run in found}
    for path in state.glob(f"runs/*/{RUN}"):
        if path.parent.name not in known:
            found.append(_unlisted(path.parent))
    found.sort(key=lambda run: (-run.started_ns, run.id))
    return [run for run in found if workflow is None or run.workflow == workflow]


def _unlisted(directory: Path) -> Run:
    info = RunInfo.read(str(directory / RUN))
    try:
        end = Ending.read(str(directory / ENDED))
    except FileNotFoundError:
        end = Ending()
    status = "running" if is_read(str(directory)) else "interrupted"
    if end.signal is not None:
        status = "killed"
    elif end.exit_code is not None:
        status = "failed" if end.exit_code else "ok"
    has_ended = end.ended_mono_ns is not None
    return Run(
        id=info.id,
        workflow=info.workflow,
        status=status,
        exit_code=end.exit_code,
        signal=end.signal,
        started_ns=info.started_ns,
        ended_ns=end.ended_ns,
        wall_ns=end.ended_mono_ns - info.started_mono_ns if has_ended else None,
        cpu_s=end.user_s + end.system_s if has_ended else None,
        max_rss_bytes=end.max_rss_bytes,
        spans=0,
        errors=0,
        processes=1,
        lost=0,
        undelivered=0,
        complete=False,
        command=" ".join(info.command),
        cwd=info.cwd,
        directory=str(directory),
    )


def wait_until_read(directory: Path, timeout_s: float | None) -> bool:
    """Wait until the run has been read to its end; *timeout_s* None: however long it takes. Say whether it has.

    A run that goes on is not waited for where there is a *timeout_s*, only one that an agent is still reading.
    Raises Trouble if no agent can read it.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    attempts = 0
    while not _is_complete(directory):
        if deadline is not None and (_goes_on(directory) or time.monotonic() > deadline):
            return False
        if not is_read(str(directory)):
            attempts += 1
            if attempts > _MAX_ATTEMPTS:
                raise Trouble(f"run {directory.name} cannot be read: {directory / LOG} says why")
            start_agent(str(directory), agents_environment())
            _wait_for(lambda: is_read(str(directory)) or _is_complete(directory))
        time.sleep(_POLL_S)
    return True


def _wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _is_complete(directory: Path) -> bool:
    try:
        history = open_history(str(directory))
    except HistoryMissing:
        return False
    except NewerSchema as error:
        raise Trouble(str(error)) from None
    try:
        return bool(read_meta(history, "complete"))
    finally:
        history.close()


def _goes_on(directory: Path) -> bool:
    """Say whether the program lives, or has been read to its end and left a process behind that does."""
    try:
        history = open_history(str(directory))
    except HistoryMissing:
        return is_read(str(directory)) and not (directory / "ended").exists()
    try:
        rows = history.execute("SELECT id, pid FROM processes WHERE end_ns IS NULL").fetchall()
    finally:
        history.close()
    living = {number for number, pid in rows if os.path.exists(f"/proc/{pid}")}
    if any(number == 1 for number, _ in rows):  # not read to its end, if it has ended
        living &= set() if (directory / "ended").exists() else {1}
    return bool(living) and is_read(str(directory))


def history_of(directory: Path) -> sqlite3.Connection:
    """Return the history of the run in *directory*. Raises Trouble."""
    try:
        return open_history(str(directory))
    except (HistoryMissing, NewerSchema) as error:
        raise Trouble(str(error)) from None
