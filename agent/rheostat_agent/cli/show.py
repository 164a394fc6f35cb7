"""`rheostat show`."""

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rheostat_agent.cli import fail
from rheostat_agent.cli.access import Trouble, find, history_of, open_state, wait_until_read
from rheostat_agent.history.query import Process, Run, list_runs, read_errors, read_processes
from rheostat_agent.masking import SEPARATOR
from rheostat_agent.rundirectory import RUN, RunInfo
from rheostat_agent.show.summary import View, headline, load_tree, missing_lines, tree_lines
from rheostat_agent.show.text import Style, plain
from rheostat_agent.show.tree import Node, prune

_PATIENCE_S = 30.0


def show(values: dict[str, Any], words: list[str]) -> int:
    """Show one run."""
    try:
        state = open_state()
        directory = find(state, words)
        wait_until_read(directory, _PATIENCE_S)
        history = history_of(directory)
    except Trouble as error:
        return fail(str(error))
    run = _run(state, directory, history)
    try:
        if values["json"]:
            json.dump(as_json(history, run), sys.stdout, indent=1)
            sys.stdout.write("\n")
        else:
            for line in _lines(history, run, values):
                sys.stdout.write(line + "\n")
    finally:
        history.close()
    return 0


def _run(state: Path, directory: Path, history: sqlite3.Connection) -> Run:
    for run in list_runs(str(state)):
        if run.id == directory.name:
            return run
    info = RunInfo.read(str(directory / RUN))  # its agent had no time for the index yet
    return Run(
        info.id, info.workflow, "running", None, None, info.started_ns, None, None, None, None, 0, 0, 1, 0, 0,
        False, " ".join(info.command), info.cwd, str(directory),
    )  # fmt: skip


def _lines(history: sqlite3.Connection, run: Run, values: dict[str, Any]) -> Iterator[str]:
    view = View(_columns(), Style(_has_colour()), max_lines=None)
    if values["skipped"]:
        yield from _skipped(history)
        return
    yield headline(run, view)
    if values["errors"]:
        yield from _errors(history)
        return
    roots = load_tree(history, run)
    least = (values["min"] or 0) * (run.wall_ns or 0)
    yield from tree_lines(
        prune(roots, least, values["depth"], values["grep"]), view, None, run.wall_ns or 0
    )
    yield from missing_lines(history, run, view)


def _errors(history: sqlite3.Connection) -> Iterator[str]:
    for error in read_errors(history).values():
        if error.number is None and error.message is None:
            continue
        yield ""
        for file, line, function in error.stack:
            yield f'  File "{plain(file)}", line {line}, in {plain(function)}'
        yield f"  {plain(error.type)}" + (f": {plain(error.message)}" if error.message else "")


def _skipped(history: sqlite3.Connection) -> Iterator[str]:
    rows = history.execute("SELECT what, name, reason FROM skipped ORDER BY what, name").fetchall()
    for what, name, reason in rows:
        yield f"{what:<9} {plain(name)}: {plain(reason)}"
    if not rows:
        yield "everything of the project is observed"


def as_json(history: sqlite3.Connection, run: Run) -> dict[str, Any]:
    """Return all that `show --json` prints. Times in nanoseconds, memory in bytes."""
    return {
        "run": run.as_dict(),
        "processes": [_process(process) for process in read_processes(history)],
        "tree": [_node(node) for node in load_tree(history, run)],
        "errors": [error.as_dict() for error in read_errors(history).values()],
        "losses": _table(history, "losses", ("process", "time_ns", "reason", "count")),
        "skipped": _table(history, "skipped", ("process", "what", "name", "reason")),
        "notes": _table(history, "notes", ("process", "time_ns", "severity", "text")),
    }


def _process(process: Process) -> dict[str, Any]:
    return {**process.as_dict(), "argv": (process.argv or "").split(SEPARATOR)}


def _node(node: Node) -> dict[str, Any]:
    values = node.as_dict()
    values["children"] = [_node(child) for child in node.children]
    return values


def _table(
    history: sqlite3.Connection, table: str, columns: tuple[str, ...]
) -> list[dict[str, Any]]:
    rows = history.execute(f"SELECT {', '.join(columns)} FROM {table}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _columns() -> int:
    try:
        return os.get_terminal_size(1).columns or 100
    except OSError:
        return 160


def _has_colour() -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (
        os.isatty(1) and os.environ.get("TERM") != "dumb"
    )
